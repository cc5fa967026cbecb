/** The only file that draws with lightweight-charts; loaded when a chart is first needed. */

import {
  CandlestickSeries, ColorType, createChart, CrosshairMode, HistogramSeries, TickMarkType,
  type IChartApi, type ISeriesApi, type Time,
} from 'lightweight-charts'
import type { Clock } from '../format/clock'
import { extendedSpans, type Bar } from './candles'
import type { Palette } from './palette'
import { SessionShade } from './shade'

const BAR_PX = 9
/** Bars of room between the newest one and the price scale. */
const AHEAD = 3

const inMs = (time: Time): number => (time as number) * 1000

export class CandleDrawing {
  readonly #chart: IChartApi
  readonly #candles: ISeriesApi<'Candlestick'>
  readonly #volume: ISeriesApi<'Histogram'>
  readonly #shade = new SessionShade()
  #bars = new Map<number, Bar>()
  #palette: Palette
  #clock: Clock

  /** @param pointed is told the bar under the pointer, or null. */
  constructor(container: HTMLElement, palette: Palette, clock: Clock, pointed: (bar: Bar | null) => void) {
    this.#palette = palette
    this.#clock = clock
    // The mark that the library would draw comes with a style element, which the page's policy
    // forbids; the attribution is written below the chart instead.
    this.#chart = createChart(container, { autoSize: true, layout: { attributionLogo: false } })
    this.#candles = this.#chart.addSeries(CandlestickSeries)
    this.#volume = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: 'volume', priceFormat: { type: 'volume' }, lastValueVisible: false, priceLineVisible: false,
    })
    this.#chart.priceScale('volume').applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } })
    this.#candles.priceScale().applyOptions({ scaleMargins: { top: 0.14, bottom: 0.22 } })
    this.#candles.attachPrimitive(this.#shade)
    this.#chart.subscribeCrosshairMove(({ time }) => {
      pointed(time === undefined ? null : (this.#bars.get(time as number) ?? null))
    })
    this.paint(palette)
  }

  /** Take over colours, as after a change of theme. */
  paint(palette: Palette): void {
    this.#palette = palette
    this.#chart.applyOptions(chartOptions(palette, this.#clock))
    this.#candles.applyOptions({
      // Rising bars are hollow, falling ones full: they differ without colour.
      upColor: palette.surface, borderUpColor: palette.up, wickUpColor: palette.up,
      downColor: palette.down, borderDownColor: palette.down, wickDownColor: palette.down,
      priceLineColor: palette.muted,
    })
    this.#volume.setData([...this.#bars.values()].map((bar) => this.#volumeOf(bar)))
    this.#shadeAgain()
  }

  /** Show other bars, with the times of a clock. */
  replace(bars: readonly Bar[], clock: Clock): void {
    if (clock !== this.#clock) {
      this.#clock = clock
      this.#chart.applyOptions(chartOptions(this.#palette, clock))
    }
    this.#bars = new Map(bars.map((bar) => [bar.time, bar]))
    const lowest = Math.min(...bars.map(({ low }) => low))
    const precision = lowest < 1 ? 4 : 2
    this.#candles.applyOptions({ priceFormat: { type: 'price', precision, minMove: 10 ** -precision } })
    this.#candles.setData(bars.map(candleOf))
    this.#volume.setData(bars.map((bar) => this.#volumeOf(bar)))
    this.#shadeAgain()
    this.#showNewest(bars.length)
  }

  update(bars: readonly Bar[]): void {
    let last = Math.max(0, ...this.#bars.keys())
    for (const bar of bars) {
      const isEarlier = bar.time < last
      if (isEarlier && !this.#bars.has(bar.time)) return this.#insert(bars)
      this.#bars.set(bar.time, bar)
      this.#candles.update(candleOf(bar), isEarlier)
      this.#volume.update(this.#volumeOf(bar), isEarlier)
      if (bar.time > last) this.#shadeAgain()
      last = Math.max(last, bar.time)
    }
  }

  destroy(): void {
    this.#chart.remove()
  }

  /** A late trade made a minute that had none: the library wants its data in order. */
  #insert(bars: readonly Bar[]): void {
    for (const bar of bars) this.#bars.set(bar.time, bar)
    const all = [...this.#bars.values()].sort((a, b) => a.time - b.time)
    this.#bars = new Map(all.map((bar) => [bar.time, bar]))
    this.#candles.setData(all.map(candleOf))
    this.#volume.setData(all.map((bar) => this.#volumeOf(bar)))
    this.#shadeAgain()
  }

  #showNewest(count: number): void {
    const width = this.#chart.timeScale().width()
    const fitting = Math.max(30, Math.floor(width / BAR_PX))
    const to = count - 0.5 + AHEAD
    this.#chart.timeScale().setVisibleLogicalRange({ from: to - fitting, to })
  }

  #shadeAgain(): void {
    this.#shade.show(extendedSpans([...this.#bars.values()]), this.#palette.shade)
  }

  #volumeOf(bar: Bar): { time: Time; value: number; color: string } {
    const color = bar.close >= bar.open ? this.#palette.volumeUp : this.#palette.volumeDown
    return { time: bar.time as Time, value: bar.volume, color }
  }
}

function candleOf({ time, open, high, low, close }: Bar): {
  time: Time; open: number; high: number; low: number; close: number
} {
  return { time: time as Time, open, high, low, close }
}

function chartOptions(palette: Palette, clock: Clock): Parameters<IChartApi['applyOptions']>[0] {
  const line = { color: palette.line }
  return {
    layout: {
      background: { type: ColorType.Solid, color: palette.surface },
      textColor: palette.muted, fontFamily: palette.font, fontSize: 11,
    },
    grid: { vertLines: line, horzLines: line },
    crosshair: {
      mode: CrosshairMode.Normal,
      vertLine: { color: palette.muted, labelBackgroundColor: palette.label },
      horzLine: { color: palette.muted, labelBackgroundColor: palette.label },
    },
    rightPriceScale: { borderVisible: false },
    timeScale: {
      borderVisible: false, timeVisible: true, secondsVisible: false, rightOffset: AHEAD,
      tickMarkFormatter: (time: Time, type: TickMarkType) =>
        type === TickMarkType.Time ? clock.minute(inMs(time)) : clock.day(inMs(time)),
    },
    localization: { timeFormatter: (time: Time) => `${clock.day(inMs(time))}  ${clock.minute(inMs(time))}` },
  }
}
