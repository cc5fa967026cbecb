import { describe, expect, test } from 'vitest'
import { arrange, BY_RANK, hasLeft, MOVE_EVERY_MS, UNARRANGED, type Sort } from '../../src/boards/arrangement'
import { EMPTY, type View } from '../../src/feed/view'

const BY_CLOSE: Sort = { field: 'close', descending: true }

function board(closes: Record<string, number | null>): View {
  const rows = new Map(Object.entries(closes).map(([symbol, close]) => [symbol, { symbol, close }]))
  return { ...EMPTY, rows, order: [...rows.keys()] }
}

const first = arrange(UNARRANGED, board({ A: 3, B: 1, C: 2 }), BY_RANK, 0, false)

describe('order', () => {
  test('is the rank, unless another column is asked for', () => {
    expect(first.order).toEqual(['A', 'B', 'C'])
    expect(arrange(UNARRANGED, board({ A: 3, B: 1, C: 2 }), BY_CLOSE, 0, false).order).toEqual(['A', 'C', 'B'])
  })

  test('puts missing values last, up and down', () => {
    const view = board({ A: null, B: 1, C: 2 })
    for (const descending of [true, false]) {
      const { order } = arrange(UNARRANGED, view, { field: 'close', descending }, 0, false)
      expect(order.at(-1)).toBe('A')
    }
  })

  test('keeps ranks with the symbols when another column sorts', () => {
    const { order, ranks } = arrange(UNARRANGED, board({ A: 1, B: 2 }), BY_CLOSE, 0, false)
    expect(order.map((symbol) => ranks.get(symbol))).toEqual([2, 1])
  })
})

describe('rows move at most four times a second', () => {
  const turned = board({ B: 1, A: 3, C: 2 })

  test('a second move waits', () => {
    const soon = arrange(first, turned, BY_RANK, MOVE_EVERY_MS - 1, false)
    expect([soon.order, soon.isBehind]).toEqual([['A', 'B', 'C'], true])
    const later = arrange(soon, turned, BY_RANK, MOVE_EVERY_MS, false)
    expect([later.order, later.ranks.get('B'), later.isBehind]).toEqual([['B', 'A', 'C'], 1, false])
  })

  test('rows that left go at once, and leave no hole in the ranks', () => {
    const { order, ranks } = arrange(first, board({ D: 4, A: 3, C: 2 }), BY_RANK, 1, false)
    expect(order.map((symbol) => [symbol, ranks.get(symbol)])).toEqual([['A', 1], ['C', 2], ['D', 3]])
  })

  test('an emptied board is empty at once, even under the pointer', () => {
    expect(arrange(first, board({}), BY_RANK, 1, true).order).toEqual([])
  })
})

describe('under the pointer', () => {
  const changed = board({ D: 9, C: 2, A: 3 })
  const held = arrange(first, changed, BY_RANK, 10_000, true)

  test('nothing moves, and what is new comes at the end', () => {
    expect(held.order).toEqual(['A', 'B', 'C', 'D'])
    expect(held.isBehind).toBe(true)
  })

  test('a row that left keeps its place, marked', () => {
    expect(['A', 'B'].map((symbol) => hasLeft(changed, symbol))).toEqual([false, true])
  })

  test('the board catches up when the pointer goes', () => {
    expect(arrange(held, changed, BY_RANK, 10_000, false).order).toEqual(['D', 'C', 'A'])
  })
})
