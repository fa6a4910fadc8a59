/** What did a client really send, and what did a breaker say in it? */

import assert from "node:assert/strict";

// biome-ignore lint/suspicious/noExplicitAny: requests of several APIs.
type Any = any;

/** What tools of these tests give, always. */
export const RESULT = "nothing found";

/** A `fetch` that keeps the bodies of requests. */
export function noting(sent: Any[]): typeof fetch {
  return (url, init) => {
    sent.push(JSON.parse(String(init?.body)));
    return fetch(url, init);
  };
}

/** The messages of a request. */
export const messagesOf = ({ messages, input }: Any): Any[] => messages ?? input;

/** The last message as it was sent. */
export const last = (body: Any) => JSON.stringify(messagesOf(body).at(-1));

/** Six equal calls of a tool: nothing is said of two, then they are nudged, then refused. */
export function climbs(sent: Any[], tool: string): void {
  const said = sent.map(last);
  assert.equal(said.length, 7);
  for (const text of said.slice(0, 3)) assert.doesNotMatch(text, /outlay breaker/);
  for (const text of said.slice(3, 5)) {
    assert.match(text, new RegExp(RESULT));
    assert.match(text, new RegExp(`outlay breaker: \`${tool}\` gave the same result`));
  }
  for (const text of said.slice(5)) {
    assert.doesNotMatch(text, new RegExp(RESULT));
    assert.match(text, /outlay breaker: this call was refused: /);
  }
}
