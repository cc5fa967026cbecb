/** A board's arrangement as a value: made anew with each view, or when a pause has passed. */

import { onScopeDispose, shallowRef, watch, type Ref, type ShallowRef } from 'vue'
import type { View } from '../feed/view'
import { arrange, MOVE_EVERY_MS, UNARRANGED, type Arrangement, type Sort } from './arrangement'

export function useArrangement(
  view: Ref<View>, sort: Ref<Sort>, isHeld: Ref<boolean>,
): ShallowRef<Arrangement> {
  const arrangement = shallowRef(UNARRANGED)
  let timer: ReturnType<typeof setTimeout> | undefined
  const update = (): void => {
    clearTimeout(timer)
    const next = arrange(arrangement.value, view.value, sort.value, performance.now(), isHeld.value)
    arrangement.value = next
    if (next.isBehind && !isHeld.value) timer = setTimeout(update, MOVE_EVERY_MS)
  }
  watch([view, isHeld], update, { immediate: true })
  watch(sort, () => {
    const now = { ...arrangement.value, movedMs: -Infinity }
    arrangement.value = arrange(now, view.value, sort.value, performance.now(), false)
  })
  onScopeDispose(() => clearTimeout(timer))
  return arrangement
}
