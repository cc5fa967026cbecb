import { expect, test } from 'vitest'
import { clock, day, sessionByClock } from '../../src/format/newYork'

const friday = (hour: number, minute: number): number => Date.UTC(2026, 10, 20, hour + 5, minute)

test('times are New York’s, in summer too', () => {
  expect(clock(Date.UTC(2026, 10, 20, 14, 31, 2))).toBe('09:31:02')
  expect(clock(Date.UTC(2026, 6, 1, 13, 31, 2))).toBe('09:31:02')
  expect(clock(friday(0, 0))).toBe('00:00:00')
  expect(day(friday(23, 59))).toBe('Fri, Nov 20')
})

test('sessions turn at their minutes', () => {
  const turns = [[3, 59], [4, 0], [9, 29], [9, 30], [15, 59], [16, 0], [19, 59], [20, 0]] as const
  expect(turns.map(([hour, minute]) => sessionByClock(friday(hour, minute)))).toEqual([
    'closed', 'pre', 'pre', 'regular', 'regular', 'post', 'post', 'closed',
  ])
})

test('weekends are closed', () => {
  expect(sessionByClock(Date.UTC(2026, 10, 21, 15, 0))).toBe('closed')
})
