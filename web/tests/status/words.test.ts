import { describe, expect, test } from 'vitest'
import type { Link } from '../../src/feed/connection'
import { ago, distinctLosses, feedLine, gapLine, isPlayed, type Facts } from '../../src/status/words'
import { INDIA, US } from '../../src/market/markets'
import { loss, status } from '../feed/messages'

const NINE_THIRTY_ONE = Date.UTC(2026, 10, 20, 14, 31) // New York time
const at = (seconds: number): number => NINE_THIRTY_ONE + seconds * 1000
const OPEN: Link = { state: 'open', since: 0, reason: '', lostAt: 0 }

function facts(more: Partial<Facts>): Facts {
  return {
    clock: US.clock, nowMs: at(10), link: OPEN, statuses: [status('live')], newestMs: at(9.6), changedMs: at(9.7), ...more,
  }
}

describe('the feed in words', () => {
  test.each<[string, Partial<Facts>]>([
    ['Live, newest trade 0.4 s ago', {}],
    ['Live, newest trade 12 s ago', { newestMs: at(-2) }],
    [
      'Stale since 09:31:02: Redis does not answer',
      { statuses: [status('live'), status('stale', { since: at(2), reason: 'Redis does not answer' })] },
    ],
    [
      'Delayed about 15 min behind the clock, newest trade at 09:16:10',
      {
        statuses: [status('delayed', { reason: 'about 15 min behind the clock' })],
        newestMs: at(10 - 900),
      },
    ],
    [
      'Market closed, last trade on Thu, Nov 19 at 19:59:59',
      { statuses: [status('closed')], newestMs: Date.UTC(2026, 10, 20, 0, 59, 59) },
    ],
    ['Live, newest trade 0.3 s ago, playing Oct 7, 2013', { newestMs: Date.UTC(2013, 9, 7, 14) }],
    ['Live, newest trade 0.3 s ago, playing Nov 23', { newestMs: at(3 * 86_400) }],
    ['Connected, waiting for the first trade', { newestMs: 0, changedMs: 0 }],
    ['Connecting to the stream', { link: { ...OPEN, state: 'connecting' } }],
    [
      'Disconnected for 3.0 s: the service is restarting. Trying again',
      { link: { state: 'waiting', since: at(9), reason: 'the service is restarting', lostAt: at(7) } },
    ],
    [
      'Not connected: the session has expired; reload the page',
      { link: { ...OPEN, state: 'refused', reason: 'the session has expired; reload the page' } },
    ],
  ])('%s', (words, more) => {
    expect(feedLine(facts(more)).text).toBe(words)
  })

  test('a lost connection counts before what the feeds last said', () => {
    const line = feedLine(facts({
      link: { state: 'waiting', since: at(9), reason: 'gone', lostAt: at(7) }, statuses: [status('stale')],
    }))
    expect(line.text).toContain('Disconnected')
  })
})

test('another day is played only while it moves', () => {
  const old = Date.UTC(2013, 9, 7, 14)
  expect(isPlayed(facts({ newestMs: old }))).toBe(true)
  expect(isPlayed(facts({ newestMs: old, changedMs: at(-60) }))).toBe(false)
  expect(isPlayed(facts({}))).toBe(false)
})

describe('gaps in words', () => {
  test.each([
    ['No gaps today', []],
    ['2 gaps today: 1,204 events missing 09:31:04–09:31:06', [loss(at(4), at(5), 1_200), loss(at(5), at(6), 4)]],
    ['1 gap today: 1 event missing at 09:31:04', [loss(at(4), at(4), 1)]],
    ['1 gap today: an unknown number of events missing 09:31:04–09:31:09', [loss(at(4), at(9), null)]],
    ['2 gaps today: at least 7 events missing 09:31:04–09:31:09', [loss(at(4), at(5), 7), loss(at(6), at(9), null)]],
  ])('%s', (words, losses) => {
    expect(gapLine(losses, US.clock).text).toBe(words)
  })

  test('times are those of the market', () => {
    expect(gapLine([loss(at(4), at(4), 1)], INDIA.clock).text).toContain('missing at 20:01:04')
    expect(feedLine(facts({ clock: INDIA.clock, newestMs: at(-600), nowMs: at(0) })).text).toContain('at 19:51:00')
  })

  test('what several feeds tell is counted once, in order of time', () => {
    const [early, late] = [loss(at(1), at(2), 5), loss(at(4), at(5), 6)]
    const statuses = [status('live', { gaps: [late, early] }), status('live', { feed: 'quote', gaps: [late] })]
    expect(distinctLosses(statuses)).toEqual([early, late])
  })
})

test('ages are said as long as they need', () => {
  expect([-5, 400, 12_345, 180_000, 7_500_000].map(ago)).toEqual(['0.0 s', '0.4 s', '12 s', '3 min', '2 h 5 min'])
})
