/** The symbol that quote and chart show; every board may change it. */

import { readonly, shallowRef } from 'vue'
import { recall, remember } from './storage'

const symbol = shallowRef(recall('symbol') ?? '')

export const selected = readonly(symbol)

export function select(next: string): void {
  symbol.value = next
  remember('symbol', next)
}

/** Something to look at on a first visit; does nothing once a symbol has been chosen. */
export function suggest(first: string): void {
  if (!symbol.value) symbol.value = first
}
