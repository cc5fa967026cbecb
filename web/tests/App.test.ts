/** The page as a whole, in a document without a layout: what is asked, shown, said. */

import { createApp, nextTick, type App } from 'vue'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import Page from '../src/App.vue'
import type { Row } from '../src/feed/protocol'
import { Feeds, FEEDS } from '../src/feed/useFeed'
import { choose } from '../src/market/current'
import { US } from '../src/market/markets'
import { select } from '../src/shell/selection'
import { delta, snapshot, status } from './feed/messages'
import { Wire } from './wire'

/** This document has no canvas; what would be drawn on one is written down. */
const drawnBars = vi.hoisted(() => [] as unknown[][])
vi.mock('../src/chart/drawing', () => ({
  CandleDrawing: class {
    replace(bars: unknown[]): void {
      drawnBars.push([...bars])
    }
    update(bars: unknown[]): void {
      if (bars.length > 0) drawnBars.push([...bars])
    }
    paint(): void {}
    destroy(): void {}
  },
}))

const GAINERS = 'scanners:top_gainers'

let wire: Wire
let app: App
let isNarrow = false

function quote(symbol: string, close: number): Row {
  return {
    symbol, close, change: 1.5, pct_change: 5, change_since_open: -2, pct_change_since_open: -1,
    accumulated_volume: 12_345, relative_volume: 2, session: 'regular', start_timestamp: Date.now(),
  }
}

function board(...rows: Row[]): ReturnType<typeof snapshot> {
  return snapshot(rows, { feed: GAINERS, ts: Date.now() })
}

/** The next animation frames, and what Vue makes of them. */
async function drawn(): Promise<void> {
  for (let frame = 0; frame < 4; frame++) {
    await new Promise((resolve) => requestAnimationFrame(resolve))
    await nextTick()
  }
}

async function deliver(...messages: unknown[]): Promise<void> {
  wire.deliver(...messages)
  await drawn()
}

function region(name: string): HTMLElement {
  const found = [...document.querySelectorAll<HTMLElement>('[role="region"]')].find((element) => {
    const title = document.getElementById(element.getAttribute('aria-labelledby') ?? '')
    return title?.textContent === name
  })
  if (!found) throw new Error(`no region named ${name}`)
  return found
}

function cells(name: string, field: string): string[] {
  const found = region(name).querySelectorAll<HTMLElement>(`[data-field="${field}"]`)
  return [...found].map((cell) => `${cell.dataset['symbol']} ${cell.textContent?.trim()}`).sort()
}

async function start(): Promise<void> {
  wire = new Wire()
  const feeds = new Feeds('ws://feed', {
    open: () => wire as unknown as WebSocket,
    nowMs: () => Date.now(),
    random: () => 0,
    after: () => () => {},
  })
  document.body.innerHTML = '<div id="app"></div>'
  app = createApp(Page, { version: '0.1.0' }).provide(FEEDS, feeds)
  app.mount('#app')
  feeds.connect()
  wire.accept()
  await drawn()
}

beforeEach(async () => {
  localStorage.clear()
  select('')
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(600)
  vi.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(400)
  vi.spyOn(window, 'matchMedia').mockImplementation((query) => ({
    matches: isNarrow && query.includes('max-width'), addEventListener: () => {}, removeEventListener: () => {},
  }) as unknown as MediaQueryList)
  isNarrow = false
  await start()
})

afterEach(() => {
  app.unmount()
  vi.restoreAllMocks()
})

test('every widget is a region with its title', () => {
  for (const name of ['Top gainers', 'Top gappers', 'Top volume', 'Quote', 'Chart', 'System status']) {
    expect(region(name)).toBeTruthy()
  }
})

test('one socket asks for all that is on the page', () => {
  expect(wire.asked('subscribe').sort()).toEqual([
    'scanners:in:top_volume', 'scanners:top_gainers', 'scanners:top_gappers', 'scanners:top_volume', 'system:status',
  ])
})

describe('a board', () => {
  test('says in words that it waits, and that it is empty', async () => {
    expect(region('Top gainers').textContent).toContain('Waiting for the first rows.')
    await deliver(board())
    expect(region('Top gainers').textContent).toContain('No gainers yet.')
  })

  test('shows its rows by symbol and field', async () => {
    await deliver(board(quote('AAPL', 100), quote('MSFT', 50)))
    expect(cells('Top gainers', 'close')).toEqual(['AAPL 100.00', 'MSFT 50.00'])
    expect(cells('Top gainers', 'rank')).toEqual(['AAPL 1', 'MSFT 2'])
    expect(cells('Top gainers', 'pct_change')).toEqual(['AAPL ▲+5.00%', 'MSFT ▲+5.00%'])
    expect(cells('Top gainers', 'pct_change_since_open')).toEqual(['AAPL ▼−1.00%', 'MSFT ▼−1.00%'])
  })

  test('loses the rows that leave it', async () => {
    await deliver(board(quote('AAPL', 100), quote('MSFT', 50)))
    await deliver(delta(10, 11, { feed: GAINERS, del: ['AAPL'], order: ['MSFT'] }))
    expect(cells('Top gainers', 'close')).toEqual(['MSFT 50.00'])
    await deliver(delta(11, 12, { feed: GAINERS, del: ['MSFT'], order: [] }))
    expect(cells('Top gainers', 'close')).toEqual([])
  })

  test('never shows an acknowledgement as a row', async () => {
    await deliver(board(quote('AAPL', 100)), { op: 'ok', id: 's1' }, { status: 'subscribed', feed: GAINERS })
    expect(cells('Top gainers', 'close')).toEqual(['AAPL 100.00'])
  })

  test('says why the service refuses it', async () => {
    const request = wire.sent.map((text) => JSON.parse(text) as Row).find(({ feed }) => feed === GAINERS)
    await deliver({ op: 'error', id: request?.['id'], code: 'unknown_field', message: 'no such field' })
    expect(region('Top gainers').textContent).toContain('refuses this board: no such field')
  })
})

describe('selecting', () => {
  beforeEach(async () => {
    select('AAPL')
    await deliver(board(quote('AAPL', 100), quote('MSFT', 50)))
  })

  test('the most traded symbol is shown first, until another is chosen', async () => {
    select('')
    await deliver(snapshot([quote('NVDA', 9), quote('AAPL', 100)], { feed: 'scanners:top_volume' }))
    expect(wire.asked('subscribe')).toContain('quote:NVDA')
    select('AAPL')
    await deliver(snapshot([quote('TSLA', 9)], { feed: 'scanners:top_volume', seq: 20 }))
    expect(wire.asked('subscribe')).not.toContain('quote:TSLA')
    expect(wire.asked('subscribe').slice(-2).sort()).toEqual(['candles:1m:AAPL', 'quote:AAPL'])
  })

  test('a row moves quote and chart to its symbol', async () => {
    region('Top gainers').querySelector<HTMLElement>('[data-symbol="MSFT"]')?.click()
    await drawn()
    expect(wire.asked('unsubscribe').sort()).toEqual(['candles:1m:AAPL', 'quote:AAPL'])
    await deliver(snapshot([quote('MSFT', 50.5)], { feed: 'quote:MSFT' }))
    expect(region('Quote').querySelector('[data-field="close"]')?.textContent).toBe('50.50')
    expect(region('Chart').textContent).toContain('Loading the candles of MSFT.')
  })

  test('arrow keys and Enter do it too', async () => {
    const grid = region('Top gainers').querySelector<HTMLElement>('[role="grid"]')
    grid?.focus()
    for (const key of ['ArrowDown', 'Enter']) grid?.dispatchEvent(new KeyboardEvent('keydown', { key }))
    await drawn()
    expect(wire.asked('subscribe').slice(-2).sort()).toEqual(['candles:1m:MSFT', 'quote:MSFT'])
  })

  test('typing in a board leads to any symbol', async () => {
    const grid = region('Top gainers').querySelector<HTMLElement>('[role="grid"]')
    grid?.focus()
    grid?.dispatchEvent(new KeyboardEvent('keydown', { key: 't' }))
    const input = document.querySelector<HTMLInputElement>('#symbol-entry')
    await drawn()
    expect(document.activeElement).toBe(input)
    if (input) input.value += 'sla'
    input?.dispatchEvent(new Event('input'))
    input?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }))
    await drawn()
    expect(wire.asked('subscribe')).toContain('quote:TSLA')
    expect(document.activeElement).toBe(grid)
  })

  test('the chart draws the candles of the symbol, then only what changes', async () => {
    const start_ms = Date.UTC(2026, 10, 20, 14, 31)
    const candle = { start_ms, open: 100, high: 101, low: 99, close: 100.5, volume: 700, gap: false }
    const feed = 'candles:1m:AAPL'
    await deliver(snapshot([{ ...candle, start_ms: start_ms - 60_000 }, candle], { feed, key: 'start_ms' }))
    expect(drawnBars.at(-1)).toHaveLength(2)
    await deliver(delta(10, 11, { feed, set: [{ start_ms, close: 100.75 }] }))
    expect(drawnBars.at(-1)).toMatchObject([{ close: 100.75 }])
    expect(region('Chart').querySelector('[data-field="close"]')?.textContent).toBe('100.75')
    expect(region('Chart').textContent).toContain('TradingView Lightweight Charts')
  })

  test('a symbol without trades is said to have none', async () => {
    select('NONE')
    await drawn()
    await deliver(
      snapshot([], { feed: 'quote:NONE' }), snapshot([], { feed: 'candles:1m:NONE', key: 'start_ms' }),
    )
    expect(region('Quote').textContent).toContain('No trade of NONE has been seen yet.')
    expect(region('Chart').textContent).toContain('No trades of NONE have made a candle today.')
  })
})

describe('the status', () => {
  const says = (words: RegExp | string): Promise<void> =>
    vi.waitFor(() => expect(region('System status').textContent).toMatch(words))

  test('says that the feed lives, then that it is stale and why', async () => {
    await deliver(board(quote('AAPL', 100)), status('live', { feed: GAINERS }))
    await says(/Live, newest trade \d\.\d s ago/)
    await says('No gaps today')
    await deliver(status('stale', { feed: GAINERS, since: Date.now(), reason: 'Redis does not answer' }))
    await says(/Stale since [\d:]{8}: Redis does not answer/)
    expect(region('Top gainers').textContent).toContain('last known')
    expect(cells('Top gainers', 'close')).toEqual(['AAPL 100.00'])
  })

  test('says that the connection is lost', async () => {
    wire.close(1006)
    await says('the widget service does not answer')
  })

  test('names services that are not well', async () => {
    const services = [
      { id: 'listener-0', service: 'listener', state: 'degraded', healthy: false, reason: 'wrong key' },
      { id: 'processor-0', service: 'processor', state: 'running', healthy: true, reason: '' },
    ]
    await deliver(snapshot(services, { feed: 'system:status', key: 'id' }))
    await says('listener is degraded: wrong key')
    expect(region('System status').textContent).not.toContain('processor')
  })
})

test('where there is little room the boards are tabs, and only one is asked for', async () => {
  app.unmount()
  isNarrow = true
  await start()
  expect(wire.asked('subscribe')).not.toContain('scanners:top_volume')
  const tab = [...document.querySelectorAll<HTMLElement>('[role="tab"]')].at(-1)
  tab?.click()
  await drawn()
  expect(region('Top volume')).toBeTruthy()
  expect(wire.asked('unsubscribe')).toEqual([GAINERS])
})

describe('two markets', () => {
  const india = (...rows: Row[]): unknown => snapshot(rows, { feed: 'scanners:in:top_volume', ts: Date.now() })
  const reliance = { ...quote('NSE_EQ:2885', 1_404.5), name: 'RELIANCE' }
  const buttons = (): HTMLButtonElement[] => [...document.querySelectorAll<HTMLButtonElement>('[aria-label="Market"] button')]

  afterEach(() => choose(US))

  test('the page turns to the only one that has rows, until somebody has chosen', async () => {
    await deliver(india(reliance)) // told of first: whether the other has rows is not known yet
    expect(document.querySelector('[data-market="us"]')).toBeTruthy()
    await deliver(board())
    expect(document.querySelector('[data-market="in"]')).toBeTruthy()
  })

  test('there is nothing to change to while only one has rows', async () => {
    await deliver(board(quote('AAPL', 100)), india())
    expect(buttons()).toEqual([])
  })

  test('the other one is a click away, with its boards, names and clock', async () => {
    await deliver(board(quote('AAPL', 100)), india(reliance))
    expect(buttons().map((each) => `${each.textContent} ${each.getAttribute('aria-pressed')}`)).toEqual(['US true', 'India false'])
    buttons()[1]?.click()
    await drawn()
    expect(wire.asked('subscribe')).toEqual(expect.arrayContaining(['scanners:in:top_gainers', 'scanners:in:top_gappers']))
    await deliver(snapshot([reliance], { feed: 'scanners:in:top_gainers', ts: Date.now() }))
    expect(cells('Top gainers', 'symbol')).toEqual(['NSE_EQ:2885 RELIANCE NSE'])
    expect(document.querySelector('[data-testid="clock"]')?.parentElement?.textContent).toContain('India')
  })
})
