import { beforeEach, describe, expect, test, vi } from 'vitest'
import { delayMs, FIRST_MS, LONGEST_MS } from '../../src/feed/backoff'
import { FeedConnection, PING_EVERY_MS, SILENT_AFTER_MS, type Link } from '../../src/feed/connection'
import { FeedSession } from '../../src/feed/session'
import { Wire } from '../wire'

let wires: Wire[]
let links: Link[]
let offsets: number[]
let connection: FeedConnection
let session: FeedSession

const wire = (): Wire => wires.at(-1) as Wire
const state = (): string => links.at(-1)?.state ?? ''

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
  wires = []
  links = []
  offsets = []
  session = new FeedSession()
  const around = {
    open: () => wires[wires.push(new Wire()) - 1] as unknown as WebSocket,
    nowMs: () => Date.now(),
    random: () => 1,
    after: (ms: number, action: () => void) => {
      const timer = setTimeout(action, ms)
      return () => clearTimeout(timer)
    },
  }
  connection = new FeedConnection('ws://feed', session, around, {
    linkChanged: (link) => links.push(link),
    feedsChanged: () => {},
    clockMeasured: (offset) => offsets.push(offset),
  })
  connection.connect()
  return () => vi.useRealTimers()
})

test('one socket serves every feed', () => {
  session.follow('board', {})
  session.follow('quote:AAPL', {})
  wire().accept()
  connection.send(session.follow('candles:1m:AAPL', {}))
  connection.connect()
  expect(wires).toHaveLength(1)
  expect(wire().asked('subscribe')).toEqual(['board', 'quote:AAPL', 'candles:1m:AAPL'])
})

describe('a lost connection', () => {
  test('is tried again, later each time, and says since when', () => {
    wire().accept()
    const lostAt = Date.now()
    wire().close(1006)
    expect(links.at(-1)).toMatchObject({ state: 'waiting', lostAt, reason: 'the widget service does not answer' })
    vi.advanceTimersByTime(FIRST_MS)
    expect(wires).toHaveLength(2)
    wire().close(1006)
    vi.advanceTimersByTime(FIRST_MS)
    expect(wires).toHaveLength(2)
    vi.advanceTimersByTime(FIRST_MS)
    expect(wires).toHaveLength(3)
    expect(links.at(-1)).toMatchObject({ state: 'connecting', lostAt })
    wire().accept()
    expect(links.at(-1)).toMatchObject({ state: 'open', lostAt: 0 })
  })

  test('is tried again at once when the network returns', () => {
    wire().accept()
    wire().close(1006)
    connection.connect()
    expect(wires).toHaveLength(2)
    vi.advanceTimersByTime(LONGEST_MS)
    expect(wires).toHaveLength(2)
  })

  test('is not tried again when the service refuses the page', () => {
    wire().accept()
    wire().close(4003)
    vi.advanceTimersByTime(LONGEST_MS * 4)
    connection.connect()
    expect([state(), wires.length]).toEqual(['refused', 1])
  })
})

describe('silence', () => {
  test('of a dead peer ends the connection', () => {
    wire().accept()
    vi.advanceTimersByTime(SILENT_AFTER_MS)
    expect(state()).toBe('waiting')
  })

  test('of a quiet market does not, while pings are answered', () => {
    wire().accept()
    for (let i = 0; i < 10; i++) {
      vi.advanceTimersByTime(PING_EVERY_MS)
      wire().deliver({ op: 'pong', t: Date.now(), time: Date.now() })
    }
    expect([state(), wires.length]).toEqual(['open', 1])
  })
})

test('a frame that makes no sense ends the connection', () => {
  const complaint = vi.spyOn(console, 'error').mockImplementation(() => {})
  wire().accept()
  wire().onmessage?.({ data: 'hello' })
  expect(state()).toBe('waiting')
  expect(complaint).toHaveBeenCalledOnce()
})

test('a pong tells how far the clocks are apart', () => {
  wire().accept()
  vi.advanceTimersByTime(40)
  wire().deliver({ op: 'pong', t: Date.now() - 40, time: Date.now() + 5_000 })
  expect(offsets).toEqual([5_020])
})

test('the back-off doubles up to its cap and keeps half of it', () => {
  expect([0, 1, 2, 50].map((attempt) => delayMs(attempt, 1))).toEqual([250, 500, 1_000, LONGEST_MS])
  expect(delayMs(50, 0)).toBe(LONGEST_MS / 2)
})
