// Packs the package, and one with the core for each platform it is given, into `packed` of
// `.build` or of `--into FOLDER`.
//
//     node scripts/pack.mjs                                     # the core that was built here
//     node scripts/pack.mjs linux-arm64-gnu=FILE darwin-x64=FILE   # cores that were built elsewhere too
//
// The package names one package for each platform, of its very version; npm installs the one that fits.

import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";

import { core, platform } from "./platform.mjs";

const root = join(import.meta.dirname, "..");
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { into: { type: "string", default: join(root, ".build") } },
});
const packed = join(values.into, "packed");
const staged = join(values.into, "staged");
const { devDependencies, platforms, ...manifest } = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8"),
);
const { version } = manifest;

// How a core tells its processor: where, and the bytes there in hex.
const HEADERS = {
  darwin: { arm64: [0, "cffaedfe0c000001"], x64: [0, "cffaedfe07000001"] },
  linux: { arm64: [18, "b700"], x64: [18, "3e00"] },
  win32: { x64: [4, "6486"] },
};

/** Is this file for this platform, as far as its header tells? */
function fits(file, name) {
  const bytes = readFileSync(file);
  const [os, cpu] = name.split("-");
  const [place, wanted] = HEADERS[os][cpu];
  // The header of Windows stands where the old one says.
  const start = os === "win32" ? bytes.readUInt32LE(60) : 0;
  const magic = { darwin: "cffaedfe", linux: "7f454c46", win32: "50450000" }[os];
  const hex = (from, length) => bytes.subarray(from, from + length).toString("hex");
  return hex(start, 4) === magic && hex(start + place, wanted.length / 2) === wanted;
}

const given = positionals.map((word) => word.split("="));
const cores = new Map([[platform, join(root, core)], ...given]);
for (const [name, file] of cores) {
  if (!platforms.includes(name)) throw new Error(`there is no package for ${name}`);
  if (!fits(file, name)) throw new Error(`${file} is no core for ${name}`);
}

const OF_THE_CORE = [
  "core/vocab/LICENSE-ctok",
  "core/vocab/LICENSE-vocabularies",
  "core/charts/LICENSE-uPlot",
];

/** The licences of what is inside too: npm packs by itself only what is called LICENSE. */
function stage(name, json, files, licences) {
  const folder = join(staged, name);
  mkdirSync(folder, { recursive: true });
  const named = { ...json, files: [...json.files, "LICENSE-*"] };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(named, null, 2)}\n`);
  for (const [file, from] of files) cpSync(from, join(folder, file), { recursive: true });
  for (const file of ["LICENSE-APACHE", "LICENSE-MIT", ...licences]) {
    copyFileSync(join(root, "..", file), join(folder, basename(file)));
  }
  return folder;
}

const built = createRequire(import.meta.url)(join(root, core)).version();
if (built !== version) throw new Error(`the core is of version ${built}, the package of ${version}`);

rmSync(staged, { recursive: true, force: true });
rmSync(packed, { recursive: true, force: true });
mkdirSync(packed, { recursive: true });

function stageCore([name, from]) {
  const [os, cpu, flavour] = name.split("-");
  const { license, repository, engines } = manifest;
  const file = `outlay.${name}.node`;
  const own = {
    name: `outlay-${name}`,
    version,
    description: `The core of outlay for ${name}`,
    license,
    repository,
    engines,
    os: [os],
    cpu: [cpu],
    ...(os === "linux" && { libc: [flavour === "gnu" ? "glibc" : "musl"] }),
    main: file,
    files: [file],
  };
  return stage(own.name, own, [[file, from]], OF_THE_CORE);
}

const optionalDependencies = Object.fromEntries(platforms.map((name) => [`outlay-${name}`, version]));
const folders = [
  stage(
    "outlay",
    { ...manifest, optionalDependencies },
    [...manifest.files, "README.md"].map((file) => [file, join(root, file)]),
    [],
  ),
  ...[...cores].map(stageCore),
];
for (const folder of folders) {
  execFileSync("npm", ["pack", "--silent", "--pack-destination", packed], { cwd: folder, stdio: "inherit" });
}
