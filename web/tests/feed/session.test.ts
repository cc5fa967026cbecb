import { describe, expect, test } from 'vitest'
import { FeedSession } from '../../src/feed/session'
import { delta, line, snapshot, status } from './messages'

const frame = (...messages: unknown[]): string => JSON.stringify(messages)
const read = (texts: readonly string[]): unknown[] => texts.map((text) => JSON.parse(text) as unknown)

function openSession(): FeedSession {
  const session = new FeedSession()
  session.opened()
  return session
}

describe('following', () => {
  test('subscribes with the wishes of the widget', () => {
    const sent = openSession().follow('board', { limit: 200, fields: ['close'], rateHz: 5 })
    expect(read(sent)).toEqual([
      { op: 'subscribe', id: 's1', feed: 'board', limit: 200, fields: ['close'], rate_hz: 5 },
    ])
  })

  test('a feed twice subscribes once, and leaves with the last follower', () => {
    const session = openSession()
    session.follow('board', {})
    expect(session.follow('board', {})).toEqual([])
    expect(session.leave('board')).toEqual([])
    expect(read(session.leave('board'))).toEqual([{ op: 'unsubscribe', feed: 'board' }])
  })

  test('before the socket opens sends nothing, and everything then', () => {
    const session = new FeedSession()
    expect(session.follow('board', {})).toEqual([])
    expect(read(session.opened())).toEqual([{ op: 'subscribe', id: 's1', feed: 'board' }])
  })
})

describe('receiving', () => {
  test('several feeds in one frame change each its own view', () => {
    const session = openSession()
    session.follow('board', {})
    session.follow('quote', {})
    const { changed } = session.received(
      frame(snapshot([line('AAPL', 1)]), snapshot([line('MSFT', 2)], { feed: 'quote' })),
    )
    expect([...changed]).toEqual(['board', 'quote'])
    expect(session.view('quote').order).toEqual(['MSFT'])
  })

  test('acknowledgements, pongs and operations of a newer service are no rows', () => {
    const session = openSession()
    session.follow('board', {})
    session.received(frame(snapshot([line('AAPL', 1)])))
    const { changed, pong } = session.received(
      frame({ op: 'ok', id: 's1' }, { op: 'pong', t: 1, time: 2 }, { op: 'novelty', feed: 'board' }, null),
    )
    expect(changed.size).toBe(0)
    expect(pong?.time).toBe(2)
    expect(session.view('board').order).toEqual(['AAPL'])
  })

  test('a refusal marks the feed that was asked for', () => {
    const session = openSession()
    session.follow('board', {})
    session.received(frame({ op: 'error', id: 's1', code: 'unknown_feed', message: 'no such feed' }))
    expect(session.view('board')).toMatchObject({ phase: 'refused', refusal: { message: 'no such feed' } })
  })

  test('messages of a feed that was left are dropped', () => {
    const session = openSession()
    session.follow('board', {})
    session.leave('board')
    expect(session.received(frame(snapshot([line('AAPL', 1)]))).changed.size).toBe(0)
  })

  test('what is no array of messages is an error', () => {
    expect(() => openSession().received('{"status":"authorized"}')).toThrow(/array of messages/)
  })
})

describe('resuming', () => {
  function cutOff(): FeedSession {
    const session = openSession()
    session.follow('board', {})
    session.received(frame(snapshot([line('AAPL', 1)]), status('live')))
    return session
  }

  test('a new socket asks from where each feed stands', () => {
    const session = cutOff()
    expect([...session.closed()]).toEqual(['board'])
    expect(session.view('board').order).toEqual(['AAPL'])
    expect(read(session.opened())).toEqual([
      { op: 'subscribe', id: 's1', feed: 'board', since: { epoch: 'hub-1', seq: 10 } },
    ])
  })

  test('a hole asks for what was missed', () => {
    const { send } = cutOff().received(frame(delta(12, 13)))
    expect(read(send)).toMatchObject([{ op: 'subscribe', since: { epoch: 'hub-1', seq: 10 } }])
  })

  test('without an answer a snapshot is asked for', () => {
    const session = cutOff()
    expect(session.insist()).toEqual([])
    session.received(frame(delta(12, 13)))
    expect(read(session.insist())).toEqual([{ op: 'subscribe', id: 's1', feed: 'board' }])
  })
})
