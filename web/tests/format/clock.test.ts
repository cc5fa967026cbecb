import { expect, test } from 'vitest'
import { INDIA, US } from '../../src/market/markets'

test('times are New York’s, in summer too', () => {
  expect(US.clock.time(Date.UTC(2026, 10, 20, 14, 31, 2))).toBe('09:31:02')
  expect(US.clock.time(Date.UTC(2026, 6, 1, 13, 31, 2))).toBe('09:31:02')
  expect(US.clock.time(Date.UTC(2026, 10, 20, 5))).toBe('00:00:00')
  expect(US.clock.day(Date.UTC(2026, 10, 21, 4, 59))).toBe('Fri, Nov 20')
})

test('India is half an hour off the full ones', () => {
  expect(INDIA.clock.minute(Date.UTC(2026, 10, 20, 3, 45))).toBe('09:15')
  expect(INDIA.clock.day(Date.UTC(2026, 10, 20, 18, 30))).toBe('Sat, Nov 21')
})

test('a date has its year where that is another one', () => {
  const [then, now] = [Date.UTC(2013, 9, 7, 15), Date.UTC(2026, 10, 20, 15)]
  expect([US.clock.shortDate(then, now), US.clock.shortDate(now, now)]).toEqual(['Oct 7, 2013', 'Nov 20'])
})
