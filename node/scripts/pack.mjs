// Packs the package, and the one with the core for this platform, into `.build/packed`.
//
// The package names one package for each platform, of its very version; npm installs the one that fits.

import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { core, platform } from "./platform.mjs";

const root = join(import.meta.dirname, "..");
const staged = join(root, ".build/staged");
const packed = join(root, ".build/packed");
const { devDependencies, platforms, ...manifest } = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8"),
);
const { version } = manifest;
if (!platforms.includes(platform)) throw new Error(`there is no package for ${platform}`);

function stage(name, json, files) {
  const folder = join(staged, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(json, null, 2)}\n`);
  for (const file of files) cpSync(join(root, file), join(folder, file), { recursive: true });
  for (const file of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    copyFileSync(join(root, "..", file), join(folder, file));
  }
  return folder;
}

const built = createRequire(import.meta.url)(join(root, core)).version();
if (built !== version) throw new Error(`the core is of version ${built}, the package of ${version}`);

rmSync(staged, { recursive: true, force: true });
rmSync(packed, { recursive: true, force: true });
mkdirSync(packed, { recursive: true });

const [os, cpu, flavour] = platform.split("-");
const { license, repository, engines } = manifest;
const own = {
  name: `outlay-${platform}`,
  version,
  description: `The core of outlay for ${platform}`,
  license,
  repository,
  engines,
  os: [os],
  cpu: [cpu],
  ...(os === "linux" && { libc: [flavour === "gnu" ? "glibc" : "musl"] }),
  main: core,
  files: [core],
};
const optionalDependencies = Object.fromEntries(platforms.map((name) => [`outlay-${name}`, version]));
const folders = [
  stage("outlay", { ...manifest, optionalDependencies }, [...manifest.files, "README.md"]),
  stage(own.name, own, [core]),
];
for (const folder of folders) {
  execFileSync("npm", ["pack", "--silent", "--pack-destination", packed], { cwd: folder, stdio: "inherit" });
}
