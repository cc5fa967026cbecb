/** The markets that one page can show: their clocks, sessions and boards. */

import { Clock } from '../format/clock'

export type Session = 'pre' | 'regular' | 'post' | 'closed'

export interface Market {
  readonly id: 'us' | 'in'
  readonly title: string
  /** Whose clock times are given in. */
  readonly place: string
  readonly clock: Clock
  /** What the names of its boards begin with. */
  readonly boards: string
  /** Whether its symbols' names take the room of two columns (`NIFTY26NOV24000CE`). */
  readonly hasLongNames: boolean
  /** From which minute of the day on which session holds, the last first. */
  readonly sessions: readonly (readonly [fromMinutes: number, session: Session])[]
}

const at = (hour: number, minute = 0): number => hour * 60 + minute

export const US: Market = {
  id: 'us',
  title: 'US',
  place: 'New York',
  clock: new Clock('America/New_York'),
  boards: 'scanners:',
  hasLongNames: false,
  sessions: [[at(20), 'closed'], [at(16), 'post'], [at(9, 30), 'regular'], [at(4), 'pre'], [0, 'closed']],
}

export const INDIA: Market = {
  id: 'in',
  title: 'India',
  place: 'India',
  clock: new Clock('Asia/Kolkata'),
  boards: 'scanners:in:',
  hasLongNames: true,
  sessions: [[at(15, 30), 'closed'], [at(9, 15), 'regular'], [at(9), 'pre'], [0, 'closed']],
}

export const MARKETS: readonly Market[] = [US, INDIA]

/** Indian symbols are an exchange and its number of the instrument: `NSE_FO:8765`. */
const INDIAN = /^[A-Z]+_[A-Z]+:/

export function marketOf(symbol: string): Market {
  return INDIAN.test(symbol) ? INDIA : US
}

/** Whether a feed is one of a market's boards: `scanners:in:top_volume` is none of the US's. */
export function isBoardOf(market: Market, feed: string): boolean {
  return feed.startsWith(market.boards) && !feed.slice(market.boards.length).includes(':')
}

/**
 * The session by the clock alone. Holidays and early closes are not known here: where a row
 * tells its session, that one counts.
 */
export function sessionByClock(market: Market, ms: number): Session {
  const { weekday, minutes } = market.clock.wallTime(ms)
  if (weekday === 'Sat' || weekday === 'Sun') return 'closed'
  return market.sessions.find(([from]) => minutes >= from)?.[1] ?? 'closed'
}
