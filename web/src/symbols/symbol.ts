/** What a symbol may look like, and which known ones match what is being typed. */

/** As the service has it: visible ASCII. `*` stands for all symbols, so it is none itself. */
const VALID = /^(?!.*\*)[!-~]{1,32}$/

/** Known symbols, and what people call each; of US symbols that is the same. */
export type Known = ReadonlyMap<string, string>

/**
 * A typed text as a symbol, or null when it cannot be one.
 *
 * Tickers are case-sensitive (`BCpC`); only a text without any capital is taken for a
 * quickly typed one, unless it is known as it stands. The name of a known symbol stands for it.
 */
export function toSymbol(typed: string, known: Known): string | null {
  const text = typed.trim()
  if (!VALID.test(text)) return null
  if (known.has(text)) return text
  const named = [...known].find(([, name]) => name.toUpperCase() === text.toUpperCase())
  if (named) return named[0]
  return text === text.toLowerCase() ? text.toUpperCase() : text
}

/** Known symbols whose name begins with the text, shortest name first, then by the alphabet. */
export function matches(typed: string, known: Known, limit: number): string[] {
  const start = typed.trim().toUpperCase()
  if (!start) return []
  return [...known]
    .filter(([symbol, name]) => [symbol, name].some((each) => each.toUpperCase().startsWith(start)))
    .sort(([a, aName], [b, bName]) => aName.length - bName.length || (aName === bName ? (a < b ? -1 : 1) : aName < bName ? -1 : 1))
    .slice(0, limit)
    .map(([symbol]) => symbol)
}
