/** The page's one WebSocket: opening, listening, noticing silence, opening again. */

import { delayMs, STABLE_MS } from './backoff'
import { endingOf, ping, SUBPROTOCOL } from './protocol'
import type { FeedSession } from './session'

export const PING_EVERY_MS = 5_000
/** A ping without any answer for this long means that the other side is gone. */
export const SILENT_AFTER_MS = 10_000

export interface Link {
  readonly state: 'connecting' | 'open' | 'waiting' | 'refused'
  /** When this state began, ms of the page's clock. */
  readonly since: number
  /** Why there is no connection, in words; empty before the first one. */
  readonly reason: string
  /** When the connection was lost; 0 while there is one, or before the first. */
  readonly lostAt: number
}

/** What the connection needs of the world around it. */
export interface Surroundings {
  open(url: string, subprotocol: string): WebSocket
  nowMs(): number
  random(): number
  after(ms: number, action: () => void): () => void
}

export interface Listener {
  linkChanged(link: Link): void
  feedsChanged(feeds: ReadonlySet<string>): void
  /** How far the service's clock is ahead of the page's, ms. */
  clockMeasured(offsetMs: number): void
}

export class FeedConnection {
  readonly #url: string
  readonly #session: FeedSession
  readonly #around: Surroundings
  readonly #listener: Listener
  #socket: WebSocket | null = null
  #link: Link = { state: 'connecting', since: 0, reason: '', lostAt: 0 }
  #attempt = 0
  #unansweredSince = 0
  #cancelTimer: () => void = () => {}

  constructor(url: string, session: FeedSession, around: Surroundings, listener: Listener) {
    this.#url = url
    this.#session = session
    this.#around = around
    this.#listener = listener
  }

  /** Open the socket now, whatever the back-off says; nothing if there is one. */
  connect(): void {
    if (this.#socket || this.#link.state === 'refused') return
    this.#cancelTimer()
    this.#change('connecting', this.#link.reason)
    const socket = this.#around.open(this.#url, SUBPROTOCOL)
    this.#socket = socket
    socket.onopen = () => this.#opened()
    socket.onmessage = (event) => this.#received(String(event.data))
    socket.onclose = (event) => this.#ended(event.code)
  }

  send(texts: readonly string[]): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    for (const text of texts) this.#socket.send(text)
  }

  #opened(): void {
    this.#unansweredSince = 0
    this.#change('open', '')
    this.send(this.#session.opened())
    this.#keepAlive()
  }

  #received(frame: string): void {
    this.#unansweredSince = 0
    try {
      const { changed, send, pong } = this.#session.received(frame)
      this.send(send)
      if (pong) this.#measure(pong.t, pong.time)
      if (changed.size > 0) this.#listener.feedsChanged(changed)
    } catch (error) {
      console.error('Tapewire: closing a connection whose frames make no sense.', error)
      this.#socket?.close()
    }
  }

  #measure(sentMs: number, serviceMs: number): void {
    const nowMs = this.#around.nowMs()
    this.#listener.clockMeasured(serviceMs - (sentMs + nowMs) / 2)
  }

  #keepAlive(): void {
    const nowMs = this.#around.nowMs()
    if (this.#unansweredSince > 0 && nowMs - this.#unansweredSince >= SILENT_AFTER_MS) {
      this.#abandon()
      return
    }
    if (nowMs - this.#link.since >= STABLE_MS) this.#attempt = 0
    this.#unansweredSince ||= nowMs
    this.send([...this.#session.insist(), ping(nowMs)])
    this.#cancelTimer = this.#around.after(PING_EVERY_MS, () => this.#keepAlive())
  }

  /** A dead peer never answers our close either, so do not wait for it. */
  #abandon(): void {
    const socket = this.#socket
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close()
    this.#ended(1006)
  }

  #ended(closeCode: number): void {
    this.#cancelTimer()
    this.#socket = null
    const ending = endingOf(closeCode)
    this.#listener.feedsChanged(this.#session.closed())
    if (ending.retry === 'never') {
      this.#change('refused', ending.words)
      return
    }
    const wait = ending.retry === 'now' && this.#attempt === 0 ? 0 : this.#attempt
    this.#attempt += 1
    this.#change('waiting', ending.words)
    const pause = delayMs(wait, this.#around.random())
    this.#cancelTimer = this.#around.after(pause, () => this.connect())
  }

  #change(state: Link['state'], reason: string): void {
    const now = this.#around.nowMs()
    const lostAt = state === 'open' ? 0 : this.#link.lostAt || (this.#link.state === 'open' ? now : 0)
    this.#link = { state, since: now, reason, lostAt }
    this.#listener.linkChanged(this.#link)
  }
}
