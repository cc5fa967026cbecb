/**
 * Everything that the page follows, over whichever socket is open: subscriptions in, texts to
 * send out, received frames to changed views. No socket, no clock, no timer.
 */

import {
  parseFrame, subscribe, unsubscribe, type Message, type Pong, type Refusal, type Wanted,
} from './protocol'
import { EMPTY, fold, refuse, suspend, type Ask, type View } from './view'

interface Followed {
  readonly wanted: Wanted
  readonly id: string
  view: View
  followers: number
}

export interface Received {
  /** Feeds whose view changed. */
  readonly changed: ReadonlySet<string>
  readonly send: readonly string[]
  readonly pong: Pong | null
}

export class FeedSession {
  readonly #feeds = new Map<string, Followed>()
  readonly #names = new Map<string | number, string>()
  #isOpen = false
  #lastId = 0

  /** Follow a feed; the second follower of a feed shares the first one's view and wishes. */
  follow(feed: string, wanted: Wanted): string[] {
    const known = this.#feeds.get(feed)
    if (known) {
      known.followers += 1
      return []
    }
    const id = `s${++this.#lastId}`
    this.#names.set(id, feed)
    this.#feeds.set(feed, { wanted, id, view: EMPTY, followers: 1 })
    return this.#isOpen ? [subscribe(feed, wanted, id, null)] : []
  }

  /** Stop following; the last follower unsubscribes. */
  leave(feed: string): string[] {
    const known = this.#feeds.get(feed)
    if (!known || --known.followers > 0) return []
    this.#feeds.delete(feed)
    this.#names.delete(known.id)
    return this.#isOpen ? [unsubscribe(feed)] : []
  }

  view(feed: string): View {
    return this.#feeds.get(feed)?.view ?? EMPTY
  }

  get feeds(): string[] {
    return [...this.#feeds.keys()]
  }

  /** A socket is open: ask for every feed, from where each stands. */
  opened(): string[] {
    this.#isOpen = true
    return [...this.#feeds.keys()].map((feed) => this.#ask(feed, 'since'))
  }

  /** The socket is gone; the feeds whose view changed. */
  closed(): ReadonlySet<string> {
    this.#isOpen = false
    for (const followed of this.#feeds.values()) followed.view = suspend(followed.view)
    return new Set(this.#feeds.keys())
  }

  /** @throws SyntaxError when the frame is not one of the dialect's. */
  received(frame: string): Received {
    const changed = new Set<string>()
    const send: string[] = []
    let pong: Pong | null = null
    for (const message of parseFrame(frame)) {
      if (message.op === 'pong') pong = message
      else this.#take(message, changed, send)
    }
    return { changed, send, pong }
  }

  /** Ask anew for feeds that were asked to resume and got no answer. */
  insist(): string[] {
    const waiting = [...this.#feeds].filter(([, { view }]) => view.phase === 'resuming')
    return this.#isOpen ? waiting.map(([feed]) => this.#ask(feed, 'afresh')) : []
  }

  #take(message: Exclude<Message, Pong>, changed: Set<string>, send: string[]): void {
    if (message.op === 'ok') return
    const feed = message.op === 'error' ? this.#names.get(message.id ?? '') : message.feed
    const followed = feed === undefined ? undefined : this.#feeds.get(feed)
    if (feed === undefined || !followed) return // left in the meantime
    changed.add(feed)
    if (message.op === 'error') this.#refused(followed, message)
    else {
      const { view, ask } = fold(followed.view, message)
      followed.view = view
      if (ask !== 'nothing') send.push(this.#ask(feed, ask))
    }
  }

  #refused(followed: Followed, refusal: Refusal): void {
    followed.view = refuse(followed.view, refusal)
  }

  #ask(feed: string, ask: Ask): string {
    const { wanted, id, view } = this.#feeds.get(feed) as Followed
    return subscribe(feed, wanted, id, ask === 'since' ? view.position : null)
  }
}
