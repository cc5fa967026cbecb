import { expect, test } from 'vitest'
import { matches, toSymbol } from '../../src/symbols/symbol'

const KNOWN = new Set(['AAPL', 'AA', 'AAL', 'ABCw', 'MSFT'])

test('what is typed in small letters is a symbol in capitals', () => {
  expect(toSymbol(' brk.b ', KNOWN)).toBe('BRK.B')
})

test('symbols with small letters can be typed', () => {
  expect(toSymbol('ABCw', KNOWN)).toBe('ABCw')
  expect(toSymbol('abcw', new Set(['abcw']))).toBe('abcw')
})

test('what cannot be a symbol is none', () => {
  for (const typed of ['', '  ', '*', 'A*', 'A B', 'Ä', 'A'.repeat(33)]) expect(toSymbol(typed, KNOWN)).toBeNull()
})

test('known symbols are offered, shortest first', () => {
  expect(matches('aa', KNOWN, 3)).toEqual(['AA', 'AAL', 'AAPL'])
  expect(matches('a', KNOWN, 2)).toEqual(['AA', 'AAL'])
  expect(matches('', KNOWN, 3)).toEqual([])
})
