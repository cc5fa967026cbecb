import { expect, test } from 'vitest'
import { INDIA, isBoardOf, marketOf, sessionByClock, US, type Market } from '../../src/market/markets'
import { nameOf } from '../../src/market/names'

const friday = (hour: number, minute: number): number => Date.UTC(2026, 10, 20, hour, minute)

function sessions(market: Market, aheadMinutes: number, turns: readonly (readonly [number, number])[]): string[] {
  return turns.map(([hour, minute]) => sessionByClock(market, friday(hour, minute - aheadMinutes)))
}

test('New York’s sessions turn at their minutes', () => {
  const turns = [[3, 59], [4, 0], [9, 29], [9, 30], [15, 59], [16, 0], [19, 59], [20, 0]] as const
  expect(sessions(US, -300, turns)).toEqual(['closed', 'pre', 'pre', 'regular', 'regular', 'post', 'post', 'closed'])
})

test('India has a pre-open and nothing after the close', () => {
  const turns = [[8, 59], [9, 0], [9, 14], [9, 15], [15, 29], [15, 30], [20, 0]] as const
  expect(sessions(INDIA, 330, turns)).toEqual(['closed', 'pre', 'pre', 'regular', 'regular', 'closed', 'closed'])
})

test('weekends are closed', () => {
  expect(sessionByClock(US, Date.UTC(2026, 10, 21, 15, 0))).toBe('closed')
  expect(sessionByClock(INDIA, Date.UTC(2026, 10, 22, 5, 0))).toBe('closed')
})

test('a symbol tells its market', () => {
  expect(['NSE_EQ:2885', 'MCX_FO:1', 'AAPL', 'BRK.B'].map((symbol) => marketOf(symbol).id)).toEqual(['in', 'in', 'us', 'us'])
})

test('boards of the other market are none of ours', () => {
  expect(isBoardOf(US, 'scanners:top_volume')).toBe(true)
  expect(isBoardOf(US, 'scanners:in:top_volume')).toBe(false)
  expect(isBoardOf(INDIA, 'scanners:in:top_volume')).toBe(true)
})

test('an Indian symbol is called by its name, and says where it is listed', () => {
  expect(nameOf('NSE_EQ:2885', { name: 'RELIANCE' })).toEqual({ text: 'RELIANCE', place: 'NSE' })
  expect(nameOf('NSE_FO:8765', undefined)).toEqual({ text: '8765', place: '' })
  expect(nameOf('AAPL', { name: null })).toEqual({ text: 'AAPL', place: '' })
})
