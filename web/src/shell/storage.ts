/** What the page remembers between visits. A browser that forbids it costs the memory only. */

const PREFIX = 'tapewire.1.' // the number grows when the meaning of what is stored changes

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + name, value)
  } catch {
    // private mode or a full store: this visit works, the next one starts from the defaults
  }
}

export function recall(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name)
  } catch {
    return null
  }
}
