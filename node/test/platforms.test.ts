/** What is said where there is no core for the platform? */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const root = join(__dirname, "../..");

/** What loading the package says on another platform, with packages from `folder`. */
function loaded(platform: string, arch: string, folder = ""): { code?: string; message: string } {
  const script = `
    Object.defineProperty(process, "platform", { value: ${JSON.stringify(platform)} });
    Object.defineProperty(process, "arch", { value: ${JSON.stringify(arch)} });
    let said = { message: "loaded" };
    try { require(${JSON.stringify(join(root, "dist/index.js"))}); } catch ({ code, message }) { said = { code, message }; }
    console.log(JSON.stringify(said));`;
  const env = { ...process.env, NODE_PATH: folder };
  return JSON.parse(execFileSync(process.execPath, ["-e", script], { encoding: "utf8", env }));
}

test("where the package of the platform is missing, it is named", () => {
  assert.equal(loaded(process.platform, process.arch).message, "loaded");
  const { code, message } = loaded("linux", "arm64");
  assert.equal(code, "unsupported");
  assert.match(
    message,
    /^outlay has no core for linux-arm64: the package `outlay-linux-arm64-gnu` or .*--omit=/,
  );
  assert.match(loaded("darwin", "arm64").message, /`outlay-darwin-arm64` is not installed/);
});

test("a platform that nothing is built for is said to be one", () => {
  const { code, message } = loaded("sunos", "x64");
  assert.deepEqual(
    [code, /^outlay has no core for sunos-x64: there is none; .*darwin-arm64/.test(message)],
    ["unsupported", true],
  );
});

test("a core that is there and does not load says why", () => {
  const folder = mkdtempSync(join(tmpdir(), "outlay-platform-"));
  try {
    mkdirSync(join(folder, "outlay-linux-arm64-musl"));
    writeFileSync(
      join(folder, "outlay-linux-arm64-musl/index.js"),
      "throw new Error('GLIBC_9.99 not found')",
    );
    const { code, message } = loaded("linux", "arm64", folder);
    assert.equal(code, "unsupported");
    assert.equal(
      message,
      "outlay has no core for linux-arm64: outlay-linux-arm64-musl: GLIBC_9.99 not found",
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the loader knows the platforms of the package", () => {
  const { platforms } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const source = readFileSync(join(root, "src/native.ts"), "utf8");
  const listed = /const PLATFORMS = \[([^\]]*)\]/.exec(source)?.[1]?.match(/[\w-]+/g);
  assert.deepEqual(listed, platforms);
});
