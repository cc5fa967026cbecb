/** Candle rows as bars, and the least that has to be drawn when they change. Pure. */

import type { Key, Row } from '../feed/protocol'
import type { View } from '../feed/view'
import { isNumber } from '../format/numbers'
import { marketOf, sessionByClock } from '../market/markets'

export interface Bar {
  /** Start, whole seconds UTC. */
  readonly time: number
  readonly open: number
  readonly high: number
  readonly low: number
  readonly close: number
  readonly volume: number
  /** Outside the regular session. */
  readonly isExtended: boolean
  /** Events are missing from it. */
  readonly hasGap: boolean
}

/** A row as a bar; null for a row without its prices. */
export function toBar(row: Row): Bar | null {
  const { start_ms, open, high, low, close, volume, gap, symbol } = row
  if (![start_ms, open, high, low, close].every(isNumber)) return null
  const startMs = start_ms as number
  return {
    time: Math.floor(startMs / 1000),
    open: open as number,
    high: high as number,
    low: low as number,
    close: close as number,
    volume: isNumber(volume) ? volume : 0,
    isExtended: sessionByClock(marketOf(String(symbol)), startMs) !== 'regular',
    hasGap: gap === true,
  }
}

export function toBars(rows: Iterable<Row>): Bar[] {
  const bars = [...rows].map(toBar).filter((bar) => bar !== null)
  return bars.sort((a, b) => a.time - b.time)
}

/** Rows to draw again: all of them, or a few that changed or were added. */
export type Redraw = { readonly kind: 'all' } | { readonly kind: 'some'; readonly bars: readonly Bar[] }

/** More changed rows than this are drawn faster all at once. */
const FEW = 20

export function redraw(before: View, after: View): Redraw {
  const isReplaced = before.rows.size === 0 || after.rows.size < before.rows.size
  if (isReplaced || before.position?.epoch !== after.position?.epoch) return { kind: 'all' }
  const changed: Row[] = []
  let kept = 0
  for (const [key, row] of after.rows) {
    const known = before.rows.get(key)
    if (known) kept += 1
    if (known !== row) changed.push(row)
  }
  if (kept < before.rows.size || changed.length > FEW) return { kind: 'all' }
  return { kind: 'some', bars: toBars(changed) }
}

/** Stretches of neighbouring extended-hours bars, as first and last time. */
export function extendedSpans(bars: readonly Bar[]): [from: number, to: number][] {
  const spans: [number, number][] = []
  let isOpen = false
  for (const { time, isExtended } of bars) {
    const span = isOpen ? spans.at(-1) : undefined
    if (isExtended && span) span[1] = time
    else if (isExtended) spans.push([time, time])
    isOpen = isExtended
  }
  return spans
}

export function newest(view: View): Row | undefined {
  let last: Key | undefined
  for (const key of view.rows.keys()) if (last === undefined || key > last) last = key
  return last === undefined ? undefined : view.rows.get(last)
}
