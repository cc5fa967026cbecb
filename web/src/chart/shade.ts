/** Shading behind the bars outside the regular session. */

import type {
  ISeriesPrimitive, IPrimitivePaneRenderer, IPrimitivePaneView, SeriesAttachedParameter, Time,
} from 'lightweight-charts'

type Target = Parameters<IPrimitivePaneRenderer['draw']>[0]

export class SessionShade implements ISeriesPrimitive<Time> {
  #spans: readonly (readonly [number, number])[] = []
  #color = 'transparent'
  #attached: SeriesAttachedParameter<Time> | null = null
  readonly #views: readonly IPrimitivePaneView[]

  constructor() {
    const renderer = { draw: () => {}, drawBackground: (target: Target) => this.#draw(target) }
    this.#views = [{ zOrder: () => 'bottom', renderer: () => renderer }]
  }

  attached(parameter: SeriesAttachedParameter<Time>): void {
    this.#attached = parameter
  }

  detached(): void {
    this.#attached = null
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return this.#views
  }

  show(spans: readonly (readonly [number, number])[], color: string): void {
    this.#spans = spans
    this.#color = color
    this.#attached?.requestUpdate()
  }

  #draw(target: Target): void {
    const scale = this.#attached?.chart.timeScale()
    if (!scale) return
    const half = scale.options().barSpacing / 2
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio }) => {
      context.fillStyle = this.#color
      for (const [from, to] of this.#spans) {
        const [left, right] = [scale.timeToCoordinate(from as Time), scale.timeToCoordinate(to as Time)]
        if (left === null || right === null) continue
        const start = (left - half) * horizontalPixelRatio
        context.fillRect(start, 0, (right + half) * horizontalPixelRatio - start, bitmapSize.height)
      }
    })
  }
}
