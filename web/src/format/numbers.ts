/** Numbers as traders read them. Missing values are an en dash, never an empty cell. */

export const NONE = '–'
const MINUS = '\u2212' // as wide as a plus sign

const wholeFormat = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const priceFormats = [2, 4].map(
  (digits) => new Intl.NumberFormat('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits }),
) as [Intl.NumberFormat, Intl.NumberFormat]

export type Direction = 'up' | 'down' | 'flat'

export function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

export function directionOf(value: unknown): Direction {
  if (!isNumber(value) || value === 0) return 'flat'
  return value > 0 ? 'up' : 'down'
}

/** Prices below a dollar have four decimals, as they are quoted. */
export function price(value: unknown): string {
  if (!isNumber(value)) return NONE
  return priceFormats[Math.abs(value) < 1 ? 1 : 0].format(value)
}

/** 5.0 is 5 %; the sign is always written. */
export function percent(value: unknown): string {
  return isNumber(value) ? `${signed(value, value.toFixed(2))}%` : NONE
}

/** A change of a price, with the price's decimals. */
export function change(value: unknown, of: unknown): string {
  if (!isNumber(value)) return NONE
  return signed(value, priceFormats[isNumber(of) && Math.abs(of) < 1 ? 1 : 0].format(value))
}

export function ratio(value: unknown): string {
  if (!isNumber(value)) return NONE
  return `${value >= 100 ? wholeFormat.format(value) : value.toFixed(2)}×`
}

export function whole(value: unknown): string {
  return isNumber(value) ? wholeFormat.format(value) : NONE
}

const UNITS: readonly (readonly [number, string])[] = [[1e9, 'B'], [1e6, 'M'], [1e3, 'K']]

/** 12,345,678 as 12.35M; four significant digits at most, so that columns stay narrow. */
export function compact(value: unknown): string {
  if (!isNumber(value)) return NONE
  const size = Math.abs(value)
  for (const [unit, letter] of UNITS) {
    if (size >= unit * 0.9995) return `${(value / unit).toFixed(size >= unit * 99.95 ? 1 : 2)}${letter}`
  }
  return wholeFormat.format(value)
}

const ARROWS: Readonly<Record<Direction, string>> = { up: '▲', down: '▼', flat: '' }

export function arrow(direction: Direction): string {
  return ARROWS[direction]
}

function signed(value: number, text: string): string {
  const digits = text.replace('-', '')
  if (!/[1-9]/.test(digits)) return digits // a rounded zero has no sign
  return `${value < 0 ? MINUS : '+'}${digits}`
}
