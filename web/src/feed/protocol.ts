/** What the page and the widget service say to each other: the dialect `tapewire.v1`. */

export const SUBPROTOCOL = 'tapewire.v1'

export type Key = string | number
export type Row = Readonly<Record<string, unknown>>

/** Where a reader of a feed stands: which hub, and what it last got from it. */
export interface Position {
  readonly epoch: string | number
  readonly seq: number
}

export type Rate = 1 | 2 | 5 | 10 | 20

/** How a feed is wanted. */
export interface Wanted {
  readonly rateHz?: Rate
  readonly limit?: number
  readonly fields?: readonly string[]
}

export interface Snapshot {
  readonly op: 'snapshot'
  readonly feed: string
  readonly epoch: string | number
  readonly seq: number
  readonly ts: number
  readonly key: string
  readonly rows: readonly Row[]
  /** Counted from 1; absent when the snapshot is one message. */
  readonly part?: number
  readonly parts?: number
}

export interface Delta {
  readonly op: 'delta'
  readonly feed: string
  readonly seq: number
  readonly prev: number
  readonly ts: number
  readonly set?: readonly Row[]
  readonly del?: readonly Key[]
  readonly order?: readonly Key[]
}

/** Messages that this client missed; a snapshot follows. */
export interface Missed {
  readonly op: 'gap'
  readonly feed: string
  readonly from: number
  readonly to: number
  readonly reason: string
}

/** Events lost upstream; `events` is null when nobody knows how many. */
export interface Loss {
  readonly shard: string
  readonly from_ms: number
  readonly to_ms: number
  readonly events: number | null
}

export type FeedState = 'live' | 'stale' | 'closed' | 'delayed'

export interface Status {
  readonly op: 'status'
  readonly feed: string
  readonly state: FeedState
  readonly since: number
  readonly reason: string
  readonly gaps: readonly Loss[]
}

export interface Refusal {
  readonly op: 'error'
  readonly code: string
  readonly message: string
  readonly id?: string | number
}

export interface Pong {
  readonly op: 'pong'
  readonly t: number
  /** The service's clock, ms UTC. */
  readonly time: number
}

export interface Ok {
  readonly op: 'ok'
  readonly id?: string | number
}

export type FeedMessage = Snapshot | Delta | Missed | Status
export type Message = FeedMessage | Refusal | Pong | Ok

const OPS: ReadonlySet<unknown> = new Set([
  'snapshot', 'delta', 'gap', 'status', 'error', 'pong', 'ok',
] satisfies Message['op'][])

/**
 * The messages of one frame. Operations that we do not know are left out, since the service
 * may be newer than the page.
 *
 * @throws SyntaxError when the frame is not JSON or not an array.
 */
export function parseFrame(frame: string): Message[] {
  const messages: unknown = JSON.parse(frame)
  if (!Array.isArray(messages)) {
    throw new SyntaxError(`a frame is an array of messages, not ${frame.slice(0, 80)}`)
  }
  return messages.filter((message) => OPS.has((message as { op?: unknown } | null)?.op))
}

export function subscribe(feed: string, wanted: Wanted, id: string, since: Position | null): string {
  return JSON.stringify({
    op: 'subscribe',
    id,
    feed,
    rate_hz: wanted.rateHz,
    limit: wanted.limit,
    fields: wanted.fields,
    since: since ?? undefined,
  })
}

export function unsubscribe(feed: string): string {
  return JSON.stringify({ op: 'unsubscribe', feed })
}

export function ping(nowMs: number): string {
  return JSON.stringify({ op: 'ping', t: nowMs })
}

/** What a close code means to a person, and whether trying again can help. */
export interface Ending {
  readonly words: string
  readonly retry: 'now' | 'later' | 'never'
}

const ENDINGS: ReadonlyMap<number, Ending> = new Map([
  [4000, { words: 'the service is restarting', retry: 'now' }],
  [4001, { words: 'the service did not accept who we are', retry: 'never' }],
  [4002, { words: 'the session has expired; reload the page', retry: 'never' }],
  [4003, { words: 'the service does not serve pages from this address', retry: 'never' }],
  [4004, { words: 'too many connections are open', retry: 'later' }],
  [4005, { words: 'the service did not understand the page; reload it', retry: 'later' }],
  [4006, { words: 'a message was too big', retry: 'later' }],
  [4007, { words: 'the page asked too often', retry: 'later' }],
  [4008, { words: 'this device was too slow for the stream', retry: 'later' }],
  [4010, { words: 'the service lost our place', retry: 'now' }],
])

const DROPPED: Ending = { words: 'the widget service does not answer', retry: 'later' }

export function endingOf(closeCode: number): Ending {
  return ENDINGS.get(closeCode) ?? DROPPED
}
