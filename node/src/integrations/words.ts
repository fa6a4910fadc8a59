/**
 * What did the breaker put into a request that a hook had read for it as a chat completion?
 *
 * It puts its word behind the last message, or in place of a result; the hook does the same to the
 * framework's own request, so that all before stays as a provider may have cached it.
 */

/** A message of a chat completion. */
export interface Message {
  role: string;
  content?: unknown;
}

/** One word to the model. */
export interface Word {
  /** At which message it stands. */
  at: number;
  text: string;
  /** Does it stand in place of what was there? */
  isInstead: boolean;
}

/** The words by which the messages changed. */
export function wordsIn(before: readonly Message[], after: unknown): Word[] {
  if (!Array.isArray(after)) return [];
  return before.flatMap(({ content: old }, at) => {
    const now = (after[at] as Message | undefined)?.content;
    if (Array.isArray(now)) {
      const added = Array.isArray(old) ? now.slice(old.length) : [];
      return added.map(({ text }) => ({ at, text: String(text), isInstead: false }));
    }
    if (typeof now !== "string" || now === old) return [];
    const isInstead = typeof old !== "string" || !now.startsWith(old);
    return [{ at, text: isInstead ? now : now.slice(old.length).trimStart(), isInstead }];
  });
}
