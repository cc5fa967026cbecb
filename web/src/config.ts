/** What the control plane tells the page, and what to assume when the page is served without it. */

export interface Config {
  readonly wdsUrl: string
  readonly version: string
}

export const CONFIG_ELEMENT_ID = 'tapewire-config'
const DEFAULT_STREAM_PORT = 4202

/** Read the configuration block of a page; what is missing or malformed falls back. */
export function readConfig(page: Document, location: Pick<Location, 'protocol' | 'hostname'>): Config {
  const given = parseObject(page.getElementById(CONFIG_ELEMENT_ID)?.textContent ?? '')
  return {
    wdsUrl: text(given['wds_url']) || defaultUrl(location),
    version: text(given['version']),
  }
}

function defaultUrl(location: Pick<Location, 'protocol' | 'hostname'>): string {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  return `${scheme}://${location.hostname || '127.0.0.1'}:${DEFAULT_STREAM_PORT}/ws`
}

function parseObject(source: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(source)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {} // a page without our block, as in development
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
