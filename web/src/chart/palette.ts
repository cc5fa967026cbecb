/** The design tokens as a canvas needs them: resolved colours. */

export interface Palette {
  readonly surface: string
  readonly line: string
  readonly muted: string
  readonly label: string
  readonly up: string
  readonly down: string
  readonly volumeUp: string
  readonly volumeDown: string
  readonly shade: string
  readonly font: string
}

const TOKENS: Readonly<Record<Exclude<keyof Palette, 'font'>, string>> = {
  surface: '--surface',
  line: '--grid-line',
  muted: '--text-muted',
  label: '--label',
  up: '--up',
  down: '--down',
  volumeUp: '--volume-up',
  volumeDown: '--volume-down',
  shade: '--session-shade',
}

/** Read the tokens in force on an element. */
export function readPalette(element: HTMLElement): Palette {
  const probe = document.createElement('span')
  element.append(probe)
  const colors = Object.entries(TOKENS).map(([name, token]) => {
    probe.style.color = `var(${token})`
    return [name, getComputedStyle(probe).color]
  })
  const font = getComputedStyle(element).fontFamily
  probe.remove()
  return { ...(Object.fromEntries(colors) as Omit<Palette, 'font'>), font }
}
