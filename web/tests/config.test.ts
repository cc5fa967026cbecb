import { beforeEach, expect, test } from 'vitest'
import { readConfig } from '../src/config'

const LOCAL = { protocol: 'http:', hostname: 'localhost' }

beforeEach(() => {
  document.head.innerHTML = ''
})

function inject(text: string): void {
  document.head.innerHTML = `<script type="application/json" id="tapewire-config">${text}</script>`
}

test('the control plane tells the stream’s address', () => {
  inject('{"wds_url":"ws://127.0.0.1:4302/ws","version":"0.1.0"}')
  expect(readConfig(document, LOCAL)).toEqual({ wdsUrl: 'ws://127.0.0.1:4302/ws', version: '0.1.0' })
})

test('without it the usual port of the page’s host is taken', () => {
  expect(readConfig(document, LOCAL).wdsUrl).toBe('ws://localhost:4202/ws')
  expect(readConfig(document, { protocol: 'https:', hostname: 'tape.example' }).wdsUrl).toBe('wss://tape.example:4202/ws')
})

test.each(['', 'nonsense', 'null', '[]', '{"wds_url":7}'])('a malformed block falls back: %s', (text) => {
  inject(text)
  expect(readConfig(document, LOCAL)).toEqual({ wdsUrl: 'ws://localhost:4202/ws', version: '' })
})
