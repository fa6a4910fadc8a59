/** Has TypeScript the public names that `tests/surface.toml` says, no others, and is each documented? */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import * as outlay from "outlay";
import { parse } from "smol-toml";

interface Table {
  same: string[];
  node?: Record<string, string>;
}

const root = join(__dirname, "../../..");
const dist = join(root, "node/dist");
const types = (name: string) => readFileSync(join(dist, name), "utf8");
const declared = readdirSync(dist)
  .filter((name) => name.endsWith(".d.ts") && name !== "core.d.ts")
  .map(types)
  .join("\n");
const surface = parse(readFileSync(join(root, "tests/surface.toml"), "utf8")) as unknown as Record<
  string,
  Table
>;
const options = surface.options as unknown as Record<string, { types: string[]; same: string[] }>;

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
const told = ({ same, node = {} }: Table) => [...same.map(camel), ...Object.keys(node)].sort();

/** The members of a class or interface, and those that say nothing of themselves. */
function members(name: string): { names: string[]; bare: string[] } {
  // The figures are those of the core, with amounts as `Money`.
  const [text, indent] = name === "Figures" ? [types("core.d.ts"), 2] : [declared, 4];
  const block = new RegExp(`^export (?:declare )?(?:class|interface) ${name}\\b[^{]*\\{\\n([^]*?)^\\}`, "m");
  const body = block.exec(text)?.[1];
  assert.ok(body !== undefined, `there is no ${name}`);
  const line = new RegExp(`^ {${indent}}(?:readonly |static |get |set |declare )*(\\w+)\\??[(:<]`);
  const names = new Set<string>();
  const bare: string[] = [];
  let before = "";
  for (const each of body.split("\n")) {
    const member = line.exec(each)?.[1];
    if (member !== undefined && member !== "constructor" && !names.has(member)) {
      names.add(member);
      if (!before.trim().endsWith("*/")) bare.push(member);
    }
    before = each;
  }
  return { names: [...names].sort(), bare };
}

test("the package has these names", () => {
  const lists = types("index.d.ts").matchAll(/^export (type )?\{([^}]*)\}/gm);
  const exported = [...lists].flatMap(([, , list = ""]) =>
    list.split(",").map((name) => name.trim().replace(/^type /, "")),
  );
  const names = exported.filter((name) => name !== "").sort();
  assert.deepEqual(names, told(surface.package as Table));
  for (const name of Object.keys(outlay)) assert.ok(names.includes(name), name);
  for (const name of names) {
    const doc = new RegExp(
      `\\*/\\n(?:import .*\\n)?export (?:declare )?(?:class|interface|function|const|type) ${name}\\b`,
    );
    assert.match(declared, doc, `${name} is not documented`);
  }
});

for (const [name, table] of Object.entries(surface)) {
  if (["package", "rust", "rust_none", "options"].includes(name)) continue;
  test(`${name} has these names`, () => {
    const { names, bare } = members(name);
    assert.deepEqual(names, told(table));
    assert.deepEqual(bare, [], "not documented");
  });
}

for (const [name, { types, same }] of Object.entries(options)) {
  test(`${name} has these options`, () => {
    const found = types.map((type) => members(type));
    assert.deepEqual(found.flatMap(({ names }) => names).sort(), same.map(camel).sort());
    assert.deepEqual(
      found.flatMap(({ bare }) => bare),
      [],
      "not documented",
    );
  });
}
