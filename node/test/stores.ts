/** A fresh ledger of each kind, and no ledger or options of whoever runs the tests. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

process.env.OUTLAY_STORE = "memory:tests";
process.env.OUTLAY_CONFIG = "/dev/null";

const folder = mkdtempSync(join(tmpdir(), "outlay-node-"));
let number = 0;

after(() => rmSync(folder, { recursive: true, force: true }));

/** A file nobody has used. */
export const sqlite = () => `sqlite:${join(folder, `${++number}.db`)}`;

export const stores: [string, () => string][] = [
  ["memory", () => `memory:test-${++number}`],
  ["SQLite", sqlite],
];
