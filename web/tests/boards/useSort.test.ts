import { expect, test } from 'vitest'
import { BY_RANK } from '../../src/boards/arrangement'
import { boardsOf, type BoardSpec, type Column } from '../../src/boards/columns'
import { US } from '../../src/market/markets'
import { nextSort, readSort } from '../../src/boards/useSort'

const board = boardsOf(US)[0] as BoardSpec
const column = (field: string): Column => board.columns.find((each) => each.field === field) as Column

test('numbers sort from the largest, names from the first, and turn round', () => {
  const sort = nextSort(BY_RANK, column('close'))
  expect(sort).toEqual({ field: 'close', descending: true })
  expect(nextSort(sort, column('close'))).toEqual({ field: 'close', descending: false })
  expect(nextSort(sort, column('symbol'))).toEqual({ field: 'symbol', descending: false })
})

test('a stored sort survives, unless it makes no sense', () => {
  expect(readSort('{"field":"close","descending":true}', board)).toEqual({ field: 'close', descending: true })
  for (const stored of [null, 'nonsense', 'null', '{"field":"gone","descending":true}']) {
    expect(readSort(stored, board)).toEqual(BY_RANK)
  }
})
