/** The service's messages, as a test says them. */

import type { Delta, Key, Loss, Row, Snapshot, Status } from '../../src/feed/protocol'

export function snapshot(rows: readonly Row[], more: Partial<Snapshot> = {}): Snapshot {
  return { op: 'snapshot', feed: 'board', epoch: 'hub-1', seq: 10, ts: 1_000, key: 'symbol', rows, ...more }
}

export function delta(prev: number, seq: number, more: Partial<Delta> = {}): Delta {
  return { op: 'delta', feed: 'board', prev, seq, ts: 1_000 + seq, ...more }
}

export function status(state: Status['state'], more: Partial<Status> = {}): Status {
  return { op: 'status', feed: 'board', state, since: 0, reason: '', gaps: [], ...more }
}

export function loss(from_ms: number, to_ms: number, events: number | null, shard = 'trades.0'): Loss {
  return { shard, from_ms, to_ms, events }
}

/** A row of a board. */
export function line(symbol: Key, close: number): Row {
  return { symbol, close }
}
