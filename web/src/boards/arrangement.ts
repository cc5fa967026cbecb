/** In which order a board's rows stand: calm enough to read, and still under the pointer. */

import type { Key } from '../feed/protocol'
import type { View } from '../feed/view'
import { isNumber } from '../format/numbers'

/** Rows move at most four times a second. */
export const MOVE_EVERY_MS = 250

export interface Sort {
  readonly field: string
  readonly descending: boolean
}

export const BY_RANK: Sort = { field: 'rank', descending: false }

export interface Arrangement {
  /** Keys from top to bottom. */
  readonly order: readonly Key[]
  /** Ranks as of when the rows last moved, so that numbers and places agree. */
  readonly ranks: ReadonlyMap<Key, number>
  readonly movedMs: number
  /** The view that this was made from. */
  readonly of: readonly Key[]
  /** Whether another order waits for the pause to pass or the pointer to leave. */
  readonly isBehind: boolean
}

export const UNARRANGED: Arrangement = {
  order: [], ranks: new Map(), movedMs: -Infinity, of: [], isBehind: false,
}

/**
 * The next arrangement.
 *
 * @param isHeld the pointer is over the rows: none moves, those that left stay as gaps until
 *   it goes, new ones come at the end.
 */
export function arrange(
  before: Arrangement, view: View, sort: Sort, nowMs: number, isHeld: boolean,
): Arrangement {
  const isEmptied = view.order.length === 0
  if (isHeld && !isEmptied) return held(before, view)
  if (nowMs - before.movedMs < MOVE_EVERY_MS && !isEmptied) return paused(before, view)
  const order = kept(before, sorted(view, sort))
  const ranks = before.of === view.order ? before.ranks : ranksOf(view.order)
  const movedMs = order === before.order ? before.movedMs : nowMs
  return { order, ranks, movedMs, of: view.order, isBehind: false }
}

/** Whether a listed key has left the board and only keeps its place under the pointer. */
export function hasLeft(view: View, key: Key): boolean {
  return !view.rows.has(key)
}

function held(before: Arrangement, view: View): Arrangement {
  return { ...before, order: kept(before, [...before.order, ...arrived(before, view)]), isBehind: true }
}

function paused(before: Arrangement, view: View): Arrangement {
  const staying = before.order.filter((key) => view.rows.has(key))
  const order = kept(before, [...staying, ...arrived(before, view)])
  const ranks = order === before.order ? before.ranks : renumbered(before, order)
  return { ...before, order, ranks, of: order, isBehind: true }
}

/** Ranks without holes for rows that stay as they stood; new ones come last. */
function renumbered(before: Arrangement, order: readonly Key[]): ReadonlyMap<Key, number> {
  const rank = (key: Key): number => before.ranks.get(key) ?? Infinity
  return ranksOf(order.toSorted((a, b) => (rank(a) < rank(b) ? -1 : Number(rank(a) > rank(b)))))
}

function arrived(before: Arrangement, view: View): Key[] {
  const known = new Set(before.order)
  return view.order.filter((key) => !known.has(key))
}

function ranksOf(order: readonly Key[]): ReadonlyMap<Key, number> {
  return new Map(order.map((key, index) => [key, index + 1]))
}

function sorted(view: View, { field, descending }: Sort): readonly Key[] {
  if (field === BY_RANK.field) return descending ? view.order.toReversed() : view.order
  const sign = descending ? -1 : 1
  const values = new Map(view.order.map((key) => [key, view.rows.get(key)?.[field]]))
  return [...view.order].sort((a, b) => compare(values.get(a), values.get(b), sign))
}

/** Missing values come last either way. The sort is stable: equal ones keep their rank's order. */
function compare(a: unknown, b: unknown, sign: number): number {
  if (isNumber(a) && isNumber(b)) return sign * (a - b)
  if (isNumber(a) !== isNumber(b)) return isNumber(a) ? -1 : 1
  const [left, right] = [String(a ?? ''), String(b ?? '')]
  return left === right ? 0 : sign * (left < right ? -1 : 1)
}

/** The same object while the order is the same, so that nothing that hangs on it is done again. */
function kept(before: Arrangement, order: readonly Key[]): readonly Key[] {
  const known = before.order
  const isSame = known.length === order.length && known.every((key, index) => key === order[index])
  return isSame ? known : order
}
