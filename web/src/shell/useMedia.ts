/** A media query as a value. */

import { onScopeDispose, shallowRef, type ShallowRef } from 'vue'

export function useMedia(query: string): ShallowRef<boolean> {
  const list = window.matchMedia(query)
  const matches = shallowRef(list.matches)
  const update = (event: MediaQueryListEvent): void => void (matches.value = event.matches)
  list.addEventListener('change', update)
  onScopeDispose(() => list.removeEventListener('change', update))
  return matches
}
