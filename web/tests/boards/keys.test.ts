import { expect, test } from 'vitest'
import { isTyping, move } from '../../src/boards/keys'

test.each([
  ['ArrowDown', 3, 4],
  ['ArrowDown', 9, 9],
  ['ArrowUp', 0, 0],
  ['PageDown', 3, 8],
  ['PageUp', 3, 0],
  ['Home', 7, 0],
  ['End', 2, 9],
])('%s leads from %i to %i of ten', (key, from, to) => {
  expect(move(key, from, 10, 5)).toBe(to)
})

test('other keys, and an empty list, lead nowhere', () => {
  expect(move('a', 3, 10, 5)).toBeNull()
  expect(move('ArrowDown', 0, 0, 5)).toBeNull()
})

test('letters are typing, shortcuts and named keys are not', () => {
  const plain = { ctrlKey: false, metaKey: false, altKey: false }
  expect(isTyping({ key: 'a', ...plain })).toBe(true)
  expect(isTyping({ key: 'a', ...plain, ctrlKey: true })).toBe(false)
  expect(isTyping({ key: 'Tab', ...plain })).toBe(false)
  expect(isTyping({ key: ' ', ...plain })).toBe(false)
})
