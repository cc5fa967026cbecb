import { expect, test } from 'vitest'
import { matches, toSymbol } from '../../src/symbols/symbol'

const KNOWN = new Map(['AAPL', 'AA', 'AAL', 'ABCw', 'MSFT'].map((symbol) => [symbol, symbol]))
const INDIAN = new Map([['NSE_EQ:2885', 'RELIANCE'], ['BSE_EQ:500325', 'RELIANCE'], ['NSE_EQ:3045', 'SBIN']])

test('what is typed in small letters is a symbol in capitals', () => {
  expect(toSymbol(' brk.b ', KNOWN)).toBe('BRK.B')
})

test('symbols with small letters can be typed', () => {
  expect(toSymbol('ABCw', KNOWN)).toBe('ABCw')
  expect(toSymbol('abcw', new Map([['abcw', 'abcw']]))).toBe('abcw')
})

test('what cannot be a symbol is none', () => {
  for (const typed of ['', '  ', '*', 'A*', 'A B', 'Ä', 'A'.repeat(33)]) expect(toSymbol(typed, KNOWN)).toBeNull()
})

test('known symbols are offered, shortest first', () => {
  expect(matches('aa', KNOWN, 3)).toEqual(['AA', 'AAL', 'AAPL'])
  expect(matches('a', KNOWN, 2)).toEqual(['AA', 'AAL'])
  expect(matches('', KNOWN, 3)).toEqual([])
})

test('an Indian symbol is found by its name, and by itself', () => {
  expect(toSymbol('sbin', INDIAN)).toBe('NSE_EQ:3045')
  expect(toSymbol('BSE_EQ:500325', INDIAN)).toBe('BSE_EQ:500325')
  expect(matches('rel', INDIAN, 5)).toEqual(['BSE_EQ:500325', 'NSE_EQ:2885'])
  expect(matches('NSE_EQ:3', INDIAN, 5)).toEqual(['NSE_EQ:3045'])
})
