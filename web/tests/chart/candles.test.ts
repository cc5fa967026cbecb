import { describe, expect, test } from 'vitest'
import { extendedSpans, newest, redraw, toBar, toBars } from '../../src/chart/candles'
import type { Row } from '../../src/feed/protocol'
import { EMPTY, fold, type View } from '../../src/feed/view'
import { delta, snapshot } from '../feed/messages'

const OPEN_MS = Date.UTC(2026, 10, 20, 14, 30) // 09:30 in New York

function candle(minute: number, close = 100): Row {
  return { start_ms: OPEN_MS + minute * 60_000, open: 100, high: 110, low: 90, close, volume: 5, gap: false }
}

function day(...candles: Row[]): View {
  return fold(EMPTY, snapshot(candles, { key: 'start_ms' })).view
}

function after(view: View, ...candles: Row[]): View {
  return fold(view, delta(10, 11, { set: candles })).view
}

test('a row becomes a bar in whole seconds', () => {
  expect(toBar(candle(0))).toMatchObject({ time: OPEN_MS / 1000, close: 100, volume: 5, isExtended: false })
})

test('a row without prices makes no bar', () => {
  expect(toBar({ start_ms: OPEN_MS, open: null })).toBeNull()
})

test('bars are in order of time', () => {
  expect(toBars([candle(2), candle(0), candle(1)]).map(({ time }) => time - OPEN_MS / 1000)).toEqual([0, 60, 120])
})

describe('what is drawn again', () => {
  const before = day(candle(0), candle(1))

  test('is the bar that changed', () => {
    const change = redraw(before, after(before, candle(1, 105)))
    expect(change).toMatchObject({ kind: 'some', bars: [{ close: 105 }] })
  })

  test('is a new minute', () => {
    const change = redraw(before, after(before, candle(2)))
    expect(change.kind === 'some' && change.bars).toHaveLength(1)
  })

  test('is nothing when nothing changed', () => {
    expect(redraw(before, before)).toEqual({ kind: 'some', bars: [] })
  })

  test('is everything when there was nothing, or another hub answers, or a minute is gone', () => {
    expect(redraw(EMPTY, before).kind).toBe('all')
    expect(redraw(before, { ...before, position: { epoch: 'hub-2', seq: 1 } }).kind).toBe('all')
    expect(redraw(before, day(candle(0), candle(5))).kind).toBe('all')
  })
})

test('extended hours are shaded from their first to their last bar', () => {
  const bars = toBars([candle(-2), candle(-1), candle(0), candle(390), candle(391)])
  const minutes = extendedSpans(bars).map((span) => span.map((time) => (time - OPEN_MS / 1000) / 60))
  expect(minutes).toEqual([[-2, -1], [390, 391]])
})

test('the newest candle is the latest one, in whichever order they came', () => {
  expect(newest(day(candle(3), candle(1)))?.['start_ms']).toBe(OPEN_MS + 180_000)
  expect(newest(EMPTY)).toBeUndefined()
})
