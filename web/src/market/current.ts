/** The market on the page: the one that was chosen, else the first that has something to show. */

import { computed, shallowRef, watch, type ComputedRef } from 'vue'
import { useFeed, useFeeds } from '../feed/useFeed'
import { recall, remember } from '../shell/storage'
import { INDIA, isBoardOf, MARKETS, US, type Market } from './markets'

const stored = MARKETS.find(({ id }) => id === recall('market'))
const shown = shallowRef<Market>(stored ?? US)
let isChosen = stored !== undefined

export const market = computed(() => shown.value)

export function choose(next: Market): void {
  isChosen = true
  shown.value = next
  remember('market', next.id)
}

/** Show a market of which there is something, as long as nobody has chosen one. */
function propose(next: Market): void {
  if (!isChosen) shown.value = next
}

/**
 * Whether there is another market to change to. Until somebody has chosen, the page turns by
 * itself to the only one that has rows.
 */
export function useMarkets(): ComputedRef<boolean> {
  const feeds = useFeeds()
  const other = computed(() => (shown.value === US ? INDIA : US))
  const there = useFeed(() => `${other.value.boards}top_volume`, { limit: 1, fields: ['symbol'] })
  const hasOther = computed(() => there.value.order.length > 0)
  const isEmptyHere = (): boolean =>
    [...feeds.views].some(([feed, view]) => isBoardOf(shown.value, feed) && view.position && view.order.length === 0)
  // Either market may be told of first.
  watch(() => hasOther.value && isEmptyHere(), (turn) => turn && propose(other.value))
  return hasOther
}
