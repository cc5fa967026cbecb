/** The symbol that quote and chart show, one for each market; every board may change it. */

import { computed, shallowReactive } from 'vue'
import { choose, market } from '../market/current'
import { marketOf, MARKETS, type Market } from '../market/markets'
import { recall, remember } from './storage'

const nameIn = ({ id }: Market): string => (id === 'us' ? 'symbol' : `symbol.${id}`)

const symbols = shallowReactive(new Map(MARKETS.map((each) => [each.id, recall(nameIn(each)) ?? ''])))

export const selected = computed(() => symbols.get(market.value.id) ?? '')

/** Show a symbol, and its market. */
export function select(next: string): void {
  const home = marketOf(next)
  if (home !== market.value) choose(home)
  symbols.set(home.id, next)
  remember(nameIn(home), next)
}

/** Something to look at on a first visit; does nothing once a symbol of its market was chosen. */
export function suggest(first: string): void {
  const { id } = marketOf(first)
  if (!symbols.get(id)) symbols.set(id, first)
}
