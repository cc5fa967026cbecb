/** Feeds as reactive values: the rim where the session meets Vue, the browser and the clock. */

import {
  computed, inject, onScopeDispose, shallowReactive, shallowRef, toValue, watch,
  type ComputedRef, type InjectionKey, type MaybeRefOrGetter, type ShallowRef,
} from 'vue'
import { FeedConnection, type Link, type Surroundings } from './connection'
import { FrameBatch } from './frames'
import type { Wanted } from './protocol'
import { FeedSession } from './session'
import { EMPTY, type View } from './view'

/** Views redrawn in one animation frame; the rest wait for the next (16 ms each). */
const VIEWS_PER_FRAME = 1

const BROWSER: Surroundings = {
  open: (url, subprotocol) => new WebSocket(url, subprotocol),
  nowMs: () => Date.now(),
  random: () => Math.random(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms)
    return () => clearTimeout(timer)
  },
}

export class Feeds {
  readonly link: ShallowRef<Link> = shallowRef({ state: 'connecting', since: Date.now(), reason: '', lostAt: 0 })
  /** The service's clock minus the page's, ms. */
  readonly clockOffsetMs = shallowRef(0)
  /** What is on the screen: each feed's view as of the last frame. */
  readonly views = shallowReactive(new Map<string, View>())
  readonly #session = new FeedSession()
  readonly #connection: FeedConnection
  readonly #batch = new FrameBatch<string>((feed) => this.#show(feed), VIEWS_PER_FRAME)

  constructor(url: string, around: Surroundings = BROWSER) {
    this.#connection = new FeedConnection(url, this.#session, around, {
      linkChanged: (link) => (this.link.value = link),
      feedsChanged: (feeds) => this.#batch.add(feeds),
      clockMeasured: (offset) => (this.clockOffsetMs.value = offset),
    })
  }

  connect(): void {
    this.#connection.connect()
  }

  follow(feed: string, wanted: Wanted): void {
    this.#connection.send(this.#session.follow(feed, wanted))
    this.#show(feed)
  }

  leave(feed: string): void {
    this.#connection.send(this.#session.leave(feed))
    this.#show(feed)
  }

  #show(feed: string): void {
    if (this.#session.feeds.includes(feed)) this.views.set(feed, this.#session.view(feed))
    else this.views.delete(feed)
  }
}

export const FEEDS: InjectionKey<Feeds> = Symbol('feeds')

export function useFeeds(): Feeds {
  const feeds = inject(FEEDS)
  if (!feeds) throw new Error('no feeds were provided; provide FEEDS at the root of the app')
  return feeds
}

/** Follow a feed for as long as the component lives; another name follows that one instead. */
export function useFeed(feed: MaybeRefOrGetter<string>, wanted: Wanted): ComputedRef<View> {
  const feeds = useFeeds()
  let followed = ''
  const change = (next: string): void => {
    if (next) feeds.follow(next, wanted)
    if (followed) feeds.leave(followed)
    followed = next
  }
  watch(() => toValue(feed), change, { immediate: true, flush: 'sync' })
  onScopeDispose(() => change(''))
  return computed(() => feeds.views.get(toValue(feed)) ?? EMPTY)
}

/** Try again at once when the network or the tab comes back. */
export function reconnectOnReturn(feeds: Feeds): void {
  window.addEventListener('online', () => feeds.connect())
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') feeds.connect()
  })
}
