/** The time, as often as a reader can use it. */

import { onScopeDispose, shallowRef, type ShallowRef } from 'vue'

export function useNow(everyMs: number): ShallowRef<number> {
  const now = shallowRef(Date.now())
  const timer = setInterval(() => (now.value = Date.now()), everyMs)
  onScopeDispose(() => clearInterval(timer))
  return now
}
