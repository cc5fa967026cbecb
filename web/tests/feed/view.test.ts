import { describe, expect, test } from 'vitest'
import type { FeedMessage } from '../../src/feed/protocol'
import { EMPTY, fold, suspend, type View } from '../../src/feed/view'
import { delta, line, snapshot, status } from './messages'

/** The view after these messages, all of which must need no question to the service. */
function following(...messages: FeedMessage[]): View {
  return messages.reduce((view, message) => {
    const { view: next, ask } = fold(view, message)
    expect(ask).toBe('nothing')
    return next
  }, EMPTY)
}

const BOARD = snapshot([line('AAPL', 100), line('MSFT', 50), line('NVDA', 20)])

describe('a snapshot', () => {
  test('gives rows, order and position', () => {
    const view = following(BOARD)
    expect([...view.rows.keys()]).toEqual(['AAPL', 'MSFT', 'NVDA'])
    expect(view.position).toEqual({ epoch: 'hub-1', seq: 10 })
    expect(view.phase).toBe('live')
  })

  test('replaces every row of the one before', () => {
    const view = following(BOARD, snapshot([line('TSLA', 9)], { epoch: 'hub-2', seq: 1 }))
    expect(view.order).toEqual(['TSLA'])
    expect(view.position).toEqual({ epoch: 'hub-2', seq: 1 })
  })

  test('in parts counts when the last part has come', () => {
    const first = following(BOARD, snapshot([line('A', 1)], { part: 1, parts: 2, seq: 20 }))
    expect(first.order).toEqual(['AAPL', 'MSFT', 'NVDA'])
    const { view } = fold(first, snapshot([line('B', 2)], { part: 2, parts: 2, seq: 20 }))
    expect(view.order).toEqual(['A', 'B'])
    expect(view.position?.seq).toBe(20)
  })

  test('without rows empties the view', () => {
    expect(following(BOARD, snapshot([], { seq: 11 })).rows.size).toBe(0)
  })
})

describe('a delta', () => {
  test('changes the fields it names and keeps the others', () => {
    const view = following(
      snapshot([{ symbol: 'AAPL', close: 100, volume: 7 }]),
      delta(10, 11, { set: [{ symbol: 'AAPL', close: 101 }] }),
    )
    expect(view.rows.get('AAPL')).toEqual({ symbol: 'AAPL', close: 101, volume: 7 })
  })

  test('leaves untouched rows the same objects', () => {
    const before = following(BOARD)
    const { view } = fold(before, delta(10, 11, { set: [line('MSFT', 51)] }))
    expect(view.rows.get('AAPL')).toBe(before.rows.get('AAPL'))
    expect(view.order).toBe(before.order)
    expect(before.rows.get('MSFT')).toEqual(line('MSFT', 50))
  })

  test('removes rows, from the order too', () => {
    const view = following(BOARD, delta(10, 11, { del: ['MSFT'] }))
    expect(view.order).toEqual(['AAPL', 'NVDA'])
    expect(view.rows.has('MSFT')).toBe(false)
  })

  test('may shrink a board to nothing', () => {
    const view = following(BOARD, delta(10, 11, { del: ['AAPL', 'MSFT', 'NVDA'], order: [] }))
    expect(view.order).toEqual([])
  })

  test('brings a new order with a new row', () => {
    const order = ['TSLA', 'AAPL', 'MSFT']
    const view = following(BOARD, delta(10, 11, { set: [line('TSLA', 200)], del: ['NVDA'], order }))
    expect(view.order).toEqual(order)
  })

  test('adds rows of a feed without an order at the end', () => {
    const candles = snapshot([{ start_ms: 60_000 }], { key: 'start_ms' })
    const view = following(candles, delta(10, 11, { set: [{ start_ms: 120_000 }] }))
    expect(view.order).toEqual([60_000, 120_000])
  })

  test('that is known already changes nothing', () => {
    const before = following(BOARD)
    expect(fold(before, delta(9, 10, { set: [line('AAPL', 1)] }))).toEqual({ view: before, ask: 'nothing' })
  })

  test('before the first snapshot is left out', () => {
    expect(fold(EMPTY, delta(10, 11))).toEqual({ view: EMPTY, ask: 'nothing' })
  })
})

describe('a hole in the chain', () => {
  const broken = fold(following(BOARD), delta(12, 13, { set: [line('AAPL', 1)] }))

  test('is not drawn over: the service is asked to resume', () => {
    expect(broken.ask).toBe('since')
    expect(broken.view.phase).toBe('resuming')
    expect(broken.view.rows.get('AAPL')).toEqual(line('AAPL', 100))
  })

  test('is asked about once', () => {
    expect(fold(broken.view, delta(13, 14)).ask).toBe('nothing')
  })

  test('is closed by the missed deltas', () => {
    const { view } = fold(broken.view, delta(10, 14, { set: [line('AAPL', 103)] }))
    expect(view.phase).toBe('live')
    expect(view.rows.get('AAPL')).toEqual(line('AAPL', 103))
  })

  test('is closed by a snapshot', () => {
    expect(fold(broken.view, snapshot([], { seq: 14 })).view.phase).toBe('live')
  })
})

test('a notice of missed messages waits for the snapshot that follows', () => {
  const { view, ask } = fold(following(BOARD), { op: 'gap', feed: 'board', from: 11, to: 15, reason: 'slow' })
  expect([view.phase, ask]).toEqual(['resuming', 'nothing'])
})

test('a status changes no row', () => {
  const before = following(BOARD)
  const { view } = fold(before, status('stale', { reason: 'Redis does not answer' }))
  expect(view.status?.state).toBe('stale')
  expect(view.rows).toBe(before.rows)
})

test('a closed socket leaves rows and position, and drops half a snapshot', () => {
  const half = following(BOARD, snapshot([line('A', 1)], { part: 1, parts: 2, seq: 20 }))
  const view = suspend(half)
  expect(view.phase).toBe('resuming')
  expect(view.parts).toEqual([])
  expect(view.position?.seq).toBe(10)
})
