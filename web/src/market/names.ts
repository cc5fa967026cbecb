/** What people call a symbol: a US one by itself, an Indian one by its trading symbol. */

import type { Row } from '../feed/protocol'

export interface Name {
  readonly text: string
  /** The exchange of a share, which may be listed on several; a derivative's name says all. */
  readonly place: string
}

const SHARE = /^([A-Z]+)_EQ:/

/** `NSE_EQ:2885` with its row's name is `RELIANCE` on `NSE`. */
export function nameOf(symbol: string, row: Row | undefined): Name {
  const name = row?.['name']
  const colon = symbol.indexOf(':')
  if (colon < 0) return { text: symbol, place: '' }
  const text = typeof name === 'string' && name ? name : symbol.slice(colon + 1)
  return { text, place: SHARE.exec(symbol)?.[1] ?? '' }
}
