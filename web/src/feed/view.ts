/** One feed as the page knows it: a pure fold of the service's messages. */

import type { Delta, FeedMessage, Key, Position, Refusal, Row, Snapshot, Status } from './protocol'

export interface View {
  /** `waiting`: nothing yet. `resuming`: rows may be old, the service was asked again. */
  readonly phase: 'waiting' | 'live' | 'resuming' | 'refused'
  readonly position: Position | null
  readonly key: string
  readonly rows: ReadonlyMap<Key, Row>
  /** Keys by rank on boards, else in order of arrival. */
  readonly order: readonly Key[]
  /** The service's time of the newest content, ms UTC. */
  readonly ts: number
  readonly status: Status | null
  readonly refusal: Refusal | null
  /** Rows of a snapshot whose last part has not come yet. */
  readonly parts: readonly Row[]
}

/** What the reader has to ask for after a message. */
export type Ask = 'nothing' | 'since' | 'afresh'

export interface Folded {
  readonly view: View
  readonly ask: Ask
}

export const EMPTY: View = {
  phase: 'waiting',
  position: null,
  key: '',
  rows: new Map(),
  order: [],
  ts: 0,
  status: null,
  refusal: null,
  parts: [],
}

/** Fold one message in. The view that goes in is never changed. */
export function fold(view: View, message: FeedMessage): Folded {
  switch (message.op) {
    case 'snapshot':
      return foldSnapshot(view, message)
    case 'delta':
      return foldDelta(view, message)
    case 'gap': // the service sends a snapshot by itself
      return { view: { ...view, phase: 'resuming', parts: [] }, ask: 'nothing' }
    case 'status':
      return { view: { ...view, status: message }, ask: 'nothing' }
  }
}

/** What becomes of a view when its socket closes: rows stay, marked as not following. */
export function suspend(view: View): View {
  const phase = view.position ? 'resuming' : 'waiting'
  return { ...view, phase: view.phase === 'refused' ? 'refused' : phase, parts: [] }
}

export function refuse(view: View, refusal: Refusal): View {
  return { ...view, phase: 'refused', refusal }
}

function foldSnapshot(view: View, message: Snapshot): Folded {
  const part = message.part ?? 1
  const before = part === 1 ? [] : view.parts
  const rows = [...before, ...message.rows]
  if (part < (message.parts ?? 1)) {
    return { view: { ...view, parts: rows }, ask: 'nothing' }
  }
  const keyed = new Map(rows.map((row) => [row[message.key] as Key, row]))
  const snapshot: View = {
    ...view,
    phase: 'live',
    position: { epoch: message.epoch, seq: message.seq },
    key: message.key,
    rows: keyed,
    order: [...keyed.keys()],
    ts: message.ts,
    refusal: null,
    parts: [],
  }
  return { view: snapshot, ask: 'nothing' }
}

function foldDelta(view: View, delta: Delta): Folded {
  const position = view.position
  if (!position || view.parts.length > 0) {
    return { view, ask: 'nothing' } // a snapshot is on its way
  }
  if (delta.seq <= position.seq) {
    return { view, ask: 'nothing' } // known already
  }
  if (delta.prev !== position.seq) {
    const ask = view.phase === 'live' ? 'since' : 'nothing' // ask once, not for each delta
    return { view: { ...view, phase: 'resuming' }, ask }
  }
  const rows = applyRows(view, delta)
  const followed: View = {
    ...view,
    phase: 'live',
    position: { epoch: position.epoch, seq: delta.seq },
    rows,
    order: applyOrder(view, delta, rows),
    ts: delta.ts,
  }
  return { view: followed, ask: 'nothing' }
}

function applyRows(view: View, delta: Delta): ReadonlyMap<Key, Row> {
  const rows = new Map(view.rows)
  for (const key of delta.del ?? []) rows.delete(key)
  for (const changed of delta.set ?? []) {
    const key = changed[view.key] as Key
    rows.set(key, { ...rows.get(key), ...changed })
  }
  return rows
}

function applyOrder(view: View, delta: Delta, rows: ReadonlyMap<Key, Row>): readonly Key[] {
  if (delta.order) return delta.order.filter((key) => rows.has(key))
  const isShorter = (delta.del?.length ?? 0) > 0
  const isLonger = delta.set?.some((row) => !view.rows.has(row[view.key] as Key)) ?? false
  return isShorter || isLonger ? [...rows.keys()] : view.order
}
