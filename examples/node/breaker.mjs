// An agent goes in circles: first it is told so, then its call is refused, then it is paused.
//
// No framework: the loop of the agent asks the breaker itself.
//
// Run it with `node examples/node/breaker.mjs`. It prints what examples/python/breaker.py does.

import { Breaker } from "outlay";

const breaker = new Breaker();
const call = { kind: "tool", name: "search", args: { query: "order 4711" } };
for (let number = 1; number < 20; number++) {
  let step = { ...call, result: "no such order" };
  if (breaker.check(call).level === "refuse") {
    console.log(`step ${number}: not made`);
    step = { ...call, refused: true };
  }
  const verdict = breaker.observe(step);
  if (verdict.level !== "ok") console.log(`step ${number}: ${verdict.level} by ${verdict.detector}`);
  if (["pause", "stop"].includes(verdict.level)) {
    console.log(`a person is asked: ${verdict.evidence.count} times the same`);
    break;
  }
}
