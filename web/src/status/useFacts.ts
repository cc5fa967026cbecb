/** What all feeds on the page say together about market, stream and data. */

import { computed, shallowRef, watch, type ComputedRef, type ShallowRef } from 'vue'
import type { Row } from '../feed/protocol'
import { useFeed, useFeeds, type Feeds } from '../feed/useFeed'
import type { View } from '../feed/view'
import { isNumber } from '../format/numbers'
import { market as marketOnPage } from '../market/current'
import { isBoardOf, MARKETS, sessionByClock, type Market, type Session } from '../market/markets'
import { useNow } from '../shell/useNow'
import { isPlayed, type Facts } from './words'

/** A trade this young tells the session better than the clock, which knows no holidays. */
const FRESH_MS = 2 * 60_000

const LOOK_EVERY_MS = 200
const STATUS_FEED = 'system:status'
/** A service that starts is no trouble until it has taken this long. */
const STARTING_MS = 15_000

/** What the market on the page does now. */
export interface MarketState {
  readonly market: Market
  readonly session: Session
  /** The market's time: the clock's, or that of the day being played back. */
  readonly timeMs: number
}

export interface Condition {
  readonly facts: ShallowRef<Facts>
  readonly market: ComputedRef<MarketState>
  /** What services say that are not healthy. */
  readonly troubles: ComputedRef<readonly string[]>
  /** Whether what is on the screen is what the service has. */
  readonly isCurrent: ComputedRef<boolean>
}

/**
 * Looked at five times a second and when the connection turns, not at each of the hundreds of
 * changes in between.
 */
export function useCondition(): Condition {
  const feeds = useFeeds()
  const now = useNow(LOOK_EVERY_MS)
  const look = (): Facts & { session: Session | null } => lookAt(feeds, now.value)
  const facts = shallowRef(look())
  watch([now, feeds.link, feeds.clockOffsetMs, marketOnPage], () => (facts.value = look()))
  const services = useFeed(STATUS_FEED, { rateHz: 2 })

  const market = computed(() => stateOf(facts.value, facts.value.session))
  const troubles = computed(() =>
    [...services.value.rows.values()].flatMap((row) => troubleOf(row, facts.value.nowMs)),
  )
  const isCurrent = computed(
    () => facts.value.link.state === 'open' && !facts.value.statuses.some(({ state }) => state === 'stale'),
  )
  return { facts, market, troubles, isCurrent }
}

function lookAt(feeds: Feeds, nowMs: number): Facts & { session: Session | null } {
  const here = marketOnPage.value
  const views = [...feeds.views].filter(([feed]) => !isOfOther(here, feed))
  const market = views.filter(([feed]) => isMarketData(feed)).map(([, view]) => view)
  const newest = market.reduce(newestOf, NOTHING)
  return {
    clock: here.clock,
    nowMs: nowMs + feeds.clockOffsetMs.value,
    link: feeds.link.value,
    statuses: views.flatMap(([, { status }]) => (status ? [status] : [])),
    newestMs: newest.ms,
    session: newest.session,
    changedMs: Math.max(0, ...market.map((view) => view.ts)),
  }
}

interface Newest {
  readonly ms: number
  readonly session: Session | null
}

const NOTHING: Newest = { ms: 0, session: null }

/** Boards of another market are followed too, to know whether there is one. */
function isOfOther(here: Market, feed: string): boolean {
  return MARKETS.some((market) => market !== here && isBoardOf(market, feed))
}

function isMarketData(feed: string): boolean {
  return feed.startsWith('scanners:') || feed.startsWith('quote:')
}

/**
 * The newest trade in a view. A row tells the second in which its symbol last traded; its
 * beginning is taken, so that the age is never said to be less than it is.
 */
function newestOf(known: Newest, view: View): Newest {
  let newest = known
  for (const row of view.rows.values()) {
    const ms = row['start_timestamp']
    if (isNumber(ms) && ms > newest.ms) newest = { ms, session: row['session'] as Session }
  }
  return newest
}

function stateOf(facts: Facts, rowSession: Session | null): MarketState {
  const { nowMs, newestMs, statuses } = facts
  const market = marketOnPage.value
  if (isPlayed(facts)) return { market, session: rowSession ?? sessionByClock(market, newestMs), timeMs: newestMs }
  if (rowSession && nowMs - newestMs < FRESH_MS) return { market, session: rowSession, timeMs: nowMs }
  const isClosed = statuses.some(({ state }) => state === 'closed')
  return { market, session: isClosed ? 'closed' : sessionByClock(market, nowMs), timeMs: nowMs }
}

function troubleOf(row: Row, nowMs: number): string[] {
  const since = row['since_ms']
  const isNew = isNumber(since) && nowMs - since < STARTING_MS
  if (row['healthy'] !== false || (row['state'] === 'starting' && isNew)) return []
  const reason = row['reason'] ? `: ${String(row['reason'])}` : ''
  return [`${String(row['service'])} is ${String(row['state'])}${reason}`]
}
