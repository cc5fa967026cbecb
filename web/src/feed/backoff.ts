/** How long to wait before the next attempt: doubling, capped, with jitter. */

export const FIRST_MS = 250
export const LONGEST_MS = 15_000
/** A connection that held this long was a good one: the next failure starts anew. */
export const STABLE_MS = 10_000

/** @param random in [0, 1): half of the delay is fixed, half is drawn. */
export function delayMs(attempt: number, random: number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt)
  return Math.round(ceiling / 2 + (ceiling / 2) * random)
}
