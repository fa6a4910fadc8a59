// Starts `python -m outlay.testing`, a provider on this machine that needs no key.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const PYTHON = process.env.OUTLAY_PYTHON ?? "python3";

/** A provider that answers every request with `reply`; the caller stops it. */
export async function startProvider(reply) {
  const command = ["-m", "outlay.testing", "--port", "0", "--until-stdin-closes"];
  const child = spawn(PYTHON, command, { stdio: ["pipe", "pipe", "inherit"] });
  for await (const line of createInterface({ input: child.stdout })) {
    const { url, openai_url: openaiUrl } = JSON.parse(line);
    await fetch(`${url}/control`, { method: "POST", body: JSON.stringify({ default: reply }) });
    const bill = async () => (await fetch(`${url}/bill?wait_s=20`)).json();
    return { openaiUrl, bill, stop: () => child.kill() };
  }
  throw new Error(`\`${PYTHON} -m outlay.testing\` did not start: pip install "outlay[testing]"`);
}
