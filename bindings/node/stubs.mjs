// Writes what TypeScript knows of the core, `node/src/core.d.ts`, from the Rust sources.
//
//     node bindings/node/stubs.mjs [--check]
//
// The macros of napi describe every function and struct while the crate is compiled. With `--check`
// nothing is written; it exits with 1 if the file is not what the sources say.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const file = join(root, "node/src/core.d.ts");
const HEADER = `// Written by bindings/node/stubs.mjs from the Rust sources: change those, and \`make stubs\`.

/** A result or a failure. */
export type Tagged<T> = T | Failure;
`;

function described() {
  const folder = mkdtempSync(join(tmpdir(), "outlay-stubs-"));
  try {
    const env = { ...process.env, NAPI_TYPE_DEF_TMP_FOLDER: folder };
    const check = ["rustc", "--profile", "check", "--quiet", "--locked", "--package", "outlay-node"];
    // A setting nobody has used: else cargo would skip the macros.
    const anew = ["--", "--cfg", `described="${Date.now()}"`];
    execFileSync("cargo", [...check, ...anew], { cwd: root, env, stdio: "inherit" });
    const lines = readFileSync(join(folder, "outlay-node"), "utf8").trim().split("\n");
    return lines.map((line) => JSON.parse(line));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function shown({ kind, name, js_doc, def }) {
  if (kind === "fn") return `${js_doc}export ${def};`;
  const fields = def.split("\n").map((line) => (line.startsWith("/**") ? `  ${line}` : `  ${line};`));
  return `${js_doc}export interface ${name} {\n${fields.join("\n")}\n}`;
}

const parts = described()
  .filter(({ kind }) => ["fn", "interface"].includes(kind))
  .sort((a, b) => (a.kind === b.kind ? a.name.localeCompare(b.name, "en") : a.kind < b.kind ? 1 : -1));
const wanted = `${HEADER}\n${parts.map(shown).join("\n\n")}\n`;

if (!process.argv.includes("--check")) {
  writeFileSync(file, wanted);
} else if (readFileSync(file, "utf8") !== wanted) {
  console.error("node/src/core.d.ts is not what the Rust sources say: `make stubs` writes it");
  process.exit(1);
}
