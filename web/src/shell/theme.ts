/** Dark or light: the system's wish until a person chooses, then theirs, on every visit. */

import { computed, shallowRef, watchEffect, type ComputedRef } from 'vue'
import { recall, remember } from './storage'

export type Theme = 'dark' | 'light'

const asked = shallowRef(recalled())
const systemIsLight = shallowRef(false)

export const theme: ComputedRef<Theme> = computed(
  () => asked.value ?? (systemIsLight.value ? 'light' : 'dark'),
)

export function toggleTheme(): void {
  asked.value = theme.value === 'dark' ? 'light' : 'dark'
  remember('theme', asked.value)
}

/** Follow the system, and tell the style sheet. Call once. */
export function startTheme(root: HTMLElement): void {
  const query = window.matchMedia('(prefers-color-scheme: light)')
  systemIsLight.value = query.matches
  query.addEventListener('change', (event) => (systemIsLight.value = event.matches))
  watchEffect(() => (root.dataset['theme'] = theme.value), { flush: 'sync' })
}

function recalled(): Theme | null {
  const stored = recall('theme')
  return stored === 'dark' || stored === 'light' ? stored : null
}
