/** Which boards there are, and what each shows. */

import * as numbers from '../format/numbers'
import type { Market } from '../market/markets'

export interface Column {
  /** Field of the row, and `data-field` of its cells. */
  readonly field: string
  readonly title: string
  /** The title in full, for tooltips and screen readers. */
  readonly meaning: string
  readonly format: (value: unknown) => string
  /** `change`: an arrow and a colour go with the sign. `price`: changes flash. */
  readonly kind: 'rank' | 'symbol' | 'price' | 'change' | 'number'
  /** First to go when there is little room: 1 stays longest. */
  readonly tier: 1 | 2 | 3
}

export interface BoardSpec {
  readonly id: string
  readonly feed: string
  readonly title: string
  /** What the ranking goes by. */
  readonly note: string
  readonly columns: readonly Column[]
  /** Said while nothing is listed. */
  readonly empty: string
}

const text = (value: unknown): string => (typeof value === 'string' ? value : numbers.NONE)

const RANK: Column = {
  field: 'rank', title: '#', meaning: 'Rank', format: numbers.whole, kind: 'rank', tier: 1,
}
const SYMBOL: Column = {
  field: 'symbol', title: 'Symbol', meaning: 'Symbol', format: text, kind: 'symbol', tier: 1,
}
const CLOSE: Column = {
  field: 'close', title: 'Last', meaning: 'Last price', format: numbers.price, kind: 'price', tier: 1,
}
const SINCE_OPEN: Column = {
  field: 'pct_change_since_open', title: 'Open %', meaning: 'Change since the open, percent',
  format: numbers.percent, kind: 'change', tier: 1,
}
const SINCE_CLOSE: Column = {
  field: 'pct_change', title: 'Day %', meaning: 'Change from the previous close, percent',
  format: numbers.percent, kind: 'change', tier: 1,
}
const VOLUME: Column = {
  field: 'accumulated_volume', title: 'Volume', meaning: 'Volume today', format: numbers.compact,
  kind: 'number', tier: 1,
}
const RELATIVE_VOLUME: Column = {
  field: 'relative_volume', title: 'Rel vol', meaning: 'Volume today over the average day',
  format: numbers.ratio, kind: 'number', tier: 3,
}

const later = (column: Column): Column => ({ ...column, tier: 2 })

const BOARDS: readonly Omit<BoardSpec, 'feed'>[] = [
  {
    id: 'top_gainers',
    title: 'Top gainers',
    note: 'since the open',
    columns: [RANK, SYMBOL, CLOSE, SINCE_OPEN, later(SINCE_CLOSE), VOLUME, RELATIVE_VOLUME],
    empty: 'No gainers yet. A symbol is listed from its first trade of the day on.',
  },
  {
    id: 'top_gappers',
    title: 'Top gappers',
    note: 'from the previous close',
    columns: [RANK, SYMBOL, CLOSE, SINCE_CLOSE, later(SINCE_OPEN), VOLUME, RELATIVE_VOLUME],
    empty: 'No gappers yet. A symbol is listed once it trades and its previous close is known.',
  },
  {
    id: 'top_volume',
    title: 'Top volume',
    note: 'shares today',
    columns: [RANK, SYMBOL, CLOSE, VOLUME, RELATIVE_VOLUME, SINCE_CLOSE, later(SINCE_OPEN)],
    empty: 'No volume yet. A symbol is listed from its first trade of the day on.',
  },
]

export function boardsOf(market: Market): BoardSpec[] {
  return BOARDS.map((board) => ({
    ...board,
    feed: `${market.boards}${board.id}`,
    columns: market.hasLongNames ? board.columns.filter(({ tier }) => tier === 1) : board.columns,
  }))
}

/** Fields that no column shows: a name, when a row last traded, in which session, with what missing. */
const BESIDE = ['name', 'start_timestamp', 'session', 'gap']

export function fieldsOf(board: BoardSpec): string[] {
  return [...board.columns.map(({ field }) => field), ...BESIDE]
}
