/** What the quote panel lists, from a quote record. */

import type { Row } from '../feed/protocol'
import { compact, isNumber, NONE, price, ratio } from '../format/numbers'
import type { Clock } from '../format/clock'

export interface Fact {
  readonly field: string
  readonly title: string
  readonly format: (value: unknown, clock: Clock) => string
  /** Left out where there is little room. */
  readonly isExtra?: boolean
}

const time = (value: unknown, clock: Clock): string => (isNumber(value) && value > 0 ? clock.time(value) : NONE)

export const FACTS: readonly Fact[] = [
  { field: 'open', title: 'Open', format: price },
  { field: 'prev_day_close', title: 'Prev close', format: price },
  { field: 'prev_day_high', title: 'Prev high', format: price, isExtra: true },
  { field: 'prev_day_low', title: 'Prev low', format: price, isExtra: true },
  { field: 'aggregate_vwap', title: 'VWAP', format: price },
  { field: 'accumulated_volume', title: 'Volume', format: compact },
  { field: 'prev_day_volume', title: 'Prev volume', format: compact, isExtra: true },
  { field: 'relative_volume', title: 'Rel volume', format: ratio },
  { field: 'avg_volume', title: 'Avg volume', format: compact },
  { field: 'free_float', title: 'Free float', format: compact },
  { field: 'average_size', title: 'Avg size', format: compact, isExtra: true },
  { field: 'start_timestamp', title: 'Last trade', format: time },
]

/** Where the price stands between the day's low (0) and high (100); null when there is no range. */
export function placeInRange(row: Row): number | null {
  const { close, day_low: low, day_high: high } = row
  if (!isNumber(close) || !isNumber(low) || !isNumber(high) || high <= low) return null
  return Math.min(100, Math.max(0, (100 * (close - low)) / (high - low)))
}
