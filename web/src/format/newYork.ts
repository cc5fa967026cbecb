/** New York's clock and calendar, for instants in ms UTC. */

const ZONE = 'America/New_York'

function format(options: Intl.DateTimeFormatOptions): (ms: number) => string {
  const formatter = new Intl.DateTimeFormat('en-US', { timeZone: ZONE, ...options })
  return (ms) => formatter.format(ms)
}

/** `09:31:02` */
export const clock = format({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
/** `09:31` */
export const minute = format({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
/** `Fri, Nov 20` */
export const day = format({ weekday: 'short', month: 'short', day: 'numeric' })
/** `Nov 20` */
const dayOfYear = format({ month: 'short', day: 'numeric' })
const year = format({ year: 'numeric' })
/** `Nov 20, 2026` */
export const date = format({ month: 'short', day: 'numeric', year: 'numeric' })

/** `Nov 20`, with its year where that is not the present one's. */
export function shortDate(ms: number, nowMs: number): string {
  return year(ms) === year(nowMs) ? dayOfYear(ms) : date(ms)
}

const parts = new Intl.DateTimeFormat('en-US', {
  timeZone: ZONE, weekday: 'short', hour: 'numeric', minute: 'numeric', hourCycle: 'h23',
})

export interface WallTime {
  readonly weekday: string
  /** Minutes since midnight. */
  readonly minutes: number
}

export function wallTime(ms: number): WallTime {
  const found = Object.fromEntries(parts.formatToParts(ms).map(({ type, value }) => [type, value]))
  return {
    weekday: found['weekday'] ?? '',
    minutes: Number(found['hour']) * 60 + Number(found['minute']),
  }
}

export type Session = 'pre' | 'regular' | 'post' | 'closed'

const SESSIONS: readonly (readonly [fromMinutes: number, session: Session])[] = [
  [20 * 60, 'closed'], [16 * 60, 'post'], [9 * 60 + 30, 'regular'], [4 * 60, 'pre'], [0, 'closed'],
]

/**
 * The session by the clock alone. Holidays and early closes are not known here: where a row
 * tells its session, that one counts.
 */
export function sessionByClock(ms: number): Session {
  const { weekday, minutes } = wallTime(ms)
  if (weekday === 'Sat' || weekday === 'Sun') return 'closed'
  return SESSIONS.find(([from]) => minutes >= from)?.[1] ?? 'closed'
}
