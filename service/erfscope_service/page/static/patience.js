// Patience with a service that is busy or away for a while: which refusals pass, and how long until the next try.

import { Problem } from "/page/api.js";

const FIRST = 1000; // milliseconds
const LONGEST = 30_000; // milliseconds
const MOST = 8; // tries
const BUSY = new Set([408, 429]);

// Whether the same call may work later: no answer, too many calls, a fault of the server.
export const isPassing = (error) =>
  !(error instanceof Problem) || !error.status || BUSY.has(error.status) || error.status >= 500;

// Twice as long after each try, at random so that pages do not come back together, never before `Retry-After`.
export function pause(tries, error = null) {
  const longest = Math.min(LONGEST, FIRST * 2 ** tries);
  const shortest = 1000 * (error?.retryAfter ?? 0);
  return new Promise((resolve) => setTimeout(resolve, Math.max(shortest, longest * (0.5 + Math.random() / 2))));
}

// What `call` answers, tried again while its refusals pass.
export async function patiently(call, signal = null) {
  for (let tries = 0; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (signal?.aborted || !isPassing(error) || tries >= MOST) throw error;
      await pause(tries, error);
    }
  }
}
