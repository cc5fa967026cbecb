/** The state of market, feed and data in words. Pure: times come in. */

import type { Link } from '../feed/connection'
import type { Loss, Status } from '../feed/protocol'
import type { Clock } from '../format/clock'
import type { Session } from '../market/markets'

/** How a line is marked; the words say it too, since colour alone says nothing. */
export type Tone = 'good' | 'waiting' | 'bad' | 'quiet'

export interface Line {
  readonly tone: Tone
  readonly text: string
}

/** What is known about the stream at an instant. All times ms UTC of the service's clock. */
export interface Facts {
  /** The clock of the market on the page. */
  readonly clock: Clock
  readonly nowMs: number
  readonly link: Link
  /** One status per feed, as the service sent them. */
  readonly statuses: readonly Status[]
  /** Event time of the newest trade on the page; 0 before one. */
  readonly newestMs: number
  /** When the newest change came in; 0 before one. */
  readonly changedMs: number
}

/** Event time further behind the clock than any delayed feed is a day that is being played... */
const PLAYED_BEHIND_MS = 60 * 60_000
/** ...and so is event time that no error of a clock explains. */
const PLAYED_AHEAD_MS = 60_000
/** Ages up to here are said as ages, older trades by their time. */
const AGES_UNTIL_MS = 5 * 60_000
/** Changes that still come in this often mean that the stream is not merely left over. */
const MOVING_WITHIN_MS = 10_000

/** Whether the market on the page is another day's than the clock's: replayed, or made up. */
export function isPlayed({ nowMs, newestMs, changedMs }: Facts): boolean {
  const isMoving = changedMs > 0 && nowMs - changedMs < MOVING_WITHIN_MS
  const behindMs = nowMs - newestMs
  return isMoving && newestMs > 0 && (behindMs > PLAYED_BEHIND_MS || behindMs < -PLAYED_AHEAD_MS)
}

/** `Live, newest trade 0.4 s ago`, or what is wrong and since when. */
export function feedLine(facts: Facts): Line {
  return linkLine(facts) ?? staleLine(facts) ?? dataLine(facts)
}

function linkLine({ link, nowMs }: Facts): Line | null {
  if (link.state === 'open') return null
  if (link.state === 'refused') return { tone: 'bad', text: `Not connected: ${link.reason}` }
  if (!link.lostAt) {
    const text = link.reason ? `Not connected yet: ${link.reason}. Trying again` : 'Connecting to the stream'
    return { tone: link.reason ? 'bad' : 'waiting', text }
  }
  const seconds = ago(nowMs - link.lostAt)
  return { tone: 'bad', text: `Disconnected for ${seconds}: ${link.reason}. Trying again` }
}

function staleLine({ statuses, clock }: Facts): Line | null {
  const stale = statuses.find(({ state }) => state === 'stale')
  if (!stale) return null
  const reason = stale.reason ? `: ${stale.reason}` : ''
  return { tone: 'bad', text: `Stale since ${clock.time(stale.since)}${reason}` }
}

function dataLine(facts: Facts): Line {
  const { clock, statuses, newestMs, nowMs } = facts
  if (!newestMs) return { tone: 'waiting', text: 'Connected, waiting for the first trade' }
  if (statuses.some(({ state }) => state === 'closed')) {
    return { tone: 'quiet', text: `Market closed, last trade ${when(clock, newestMs, nowMs)}` }
  }
  const newest = `newest trade ${when(clock, isPlayed(facts) ? facts.changedMs : newestMs, nowMs)}`
  if (isPlayed(facts)) return { tone: 'good', text: `Live, ${newest}, playing ${clock.shortDate(newestMs, nowMs)}` }
  const delayed = statuses.find(({ state }) => state === 'delayed')
  if (!delayed) return { tone: 'good', text: `Live, ${newest}` }
  return { tone: 'waiting', text: `Delayed${delayed.reason && ` ${delayed.reason}`}, ${newest}` }
}

function when(clock: Clock, ms: number, nowMs: number): string {
  const age = nowMs - ms
  if (Math.abs(age) < AGES_UNTIL_MS) return `${ago(age)} ago`
  return clock.date(ms) === clock.date(nowMs)
    ? `at ${clock.time(ms)}`
    : `on ${clock.day(ms)} at ${clock.time(ms)}`
}

/** `0.4 s`, `12 s`, `3 min`, `2 h 5 min` */
export function ago(ms: number): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 100) return `${Math.round(seconds)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

const SESSION_WORDS: Readonly<Record<Session, string>> = {
  pre: 'Pre-market',
  regular: 'Regular session',
  post: 'Post-market',
  closed: 'Market closed',
}

export function sessionWords(session: Session): string {
  return SESSION_WORDS[session]
}

/** The losses that several feeds tell of, once each. */
export function distinctLosses(statuses: readonly Status[]): Loss[] {
  const losses = statuses.flatMap(({ gaps }) => gaps)
  return [...new Map(losses.map((loss) => [`${loss.shard} ${loss.from_ms} ${loss.to_ms}`, loss])).values()]
    .sort((a, b) => a.from_ms - b.from_ms)
}

/** `2 gaps today: 1,204 events missing 09:31:04–09:31:06` */
export function gapLine(losses: readonly Loss[], clock: Clock): Line {
  const [first, last] = [losses[0], losses.at(-1)]
  if (!first || !last) return { tone: 'quiet', text: 'No gaps today' }
  const known = losses.reduce((sum, { events }) => sum + (events ?? 0), 0)
  const isExact = losses.every(({ events }) => events !== null)
  const count = known === 0 && !isExact ? 'an unknown number of' : known.toLocaleString('en-US')
  const least = known > 0 && !isExact ? 'at least ' : ''
  const from = clock.time(first.from_ms)
  const to = clock.time(Math.max(...losses.map(({ to_ms }) => to_ms)))
  const gaps = losses.length === 1 ? '1 gap' : `${losses.length} gaps`
  return {
    tone: 'bad',
    text: `${gaps} today: ${least}${count} ${known === 1 ? 'event' : 'events'} missing ${from === to ? `at ${from}` : `${from}–${to}`}`,
  }
}
