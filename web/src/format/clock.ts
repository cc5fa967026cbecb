/** The clock and calendar of a place, for instants in ms UTC. */

export interface WallTime {
  readonly weekday: string
  /** Minutes since midnight. */
  readonly minutes: number
}

export class Clock {
  /** `09:31:02` */
  readonly time: (ms: number) => string
  /** `09:31` */
  readonly minute: (ms: number) => string
  /** `Fri, Nov 20` */
  readonly day: (ms: number) => string
  /** `Nov 20, 2026` */
  readonly date: (ms: number) => string
  readonly #dayOfYear: (ms: number) => string
  readonly #year: (ms: number) => string
  readonly #parts: Intl.DateTimeFormat

  /** @param zone a name of the time-zone database, as `Asia/Kolkata`. */
  constructor(zone: string) {
    const format = (options: Intl.DateTimeFormatOptions): ((ms: number) => string) => {
      const formatter = new Intl.DateTimeFormat('en-US', { timeZone: zone, ...options })
      return (ms) => formatter.format(ms)
    }
    this.time = format({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
    this.minute = format({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
    this.day = format({ weekday: 'short', month: 'short', day: 'numeric' })
    this.date = format({ month: 'short', day: 'numeric', year: 'numeric' })
    this.#dayOfYear = format({ month: 'short', day: 'numeric' })
    this.#year = format({ year: 'numeric' })
    this.#parts = new Intl.DateTimeFormat('en-US', {
      timeZone: zone, weekday: 'short', hour: 'numeric', minute: 'numeric', hourCycle: 'h23',
    })
  }

  /** `Nov 20`, with its year where that is not the present one's. */
  shortDate(ms: number, nowMs: number): string {
    return this.#year(ms) === this.#year(nowMs) ? this.#dayOfYear(ms) : this.date(ms)
  }

  wallTime(ms: number): WallTime {
    const found = Object.fromEntries(this.#parts.formatToParts(ms).map(({ type, value }) => [type, value]))
    return {
      weekday: found['weekday'] ?? '',
      minutes: Number(found['hour']) * 60 + Number(found['minute']),
    }
  }
}
