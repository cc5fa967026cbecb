/** What a symbol may look like, and which known ones match what is being typed. */

/** As the service has it: visible ASCII. `*` stands for all symbols, so it is none itself. */
const VALID = /^(?!.*\*)[!-~]{1,32}$/

/**
 * A typed text as a symbol, or null when it cannot be one.
 *
 * Tickers are case-sensitive (`BCpC`); only a text without any capital is taken for a
 * quickly typed one, unless it is known as it stands.
 */
export function toSymbol(typed: string, known: ReadonlySet<string>): string | null {
  const text = typed.trim()
  if (!VALID.test(text)) return null
  const isQuick = text === text.toLowerCase() && !known.has(text)
  return isQuick ? text.toUpperCase() : text
}

/** Known symbols that begin with the text, shortest first, then by the alphabet. */
export function matches(typed: string, known: Iterable<string>, limit: number): string[] {
  const start = typed.trim().toUpperCase()
  if (!start) return []
  return [...known]
    .filter((symbol) => symbol.toUpperCase().startsWith(start))
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
    .slice(0, limit)
}
