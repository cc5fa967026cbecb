import { expect, test } from 'vitest'
import * as numbers from '../../src/format/numbers'

test('prices have two decimals, below a dollar four', () => {
  expect([1234.5, 1, 0.98765, 0].map(numbers.price)).toEqual(['1,234.50', '1.00', '0.9877', '0.0000'])
})

test('changes always have a sign, except a rounded zero', () => {
  expect([5, -3.456, 0.001, -0.001, 0].map(numbers.percent)).toEqual(['+5.00%', '−3.46%', '0.00%', '0.00%', '0.00%'])
  expect(numbers.change(-0.25, 12)).toBe('−0.25')
  expect(numbers.change(0.0123, 0.5)).toBe('+0.0123')
})

test('volumes are compact and never wider than a column', () => {
  expect([950, 999_600, 12_345, 1_234_567, 123_456_789, 2.5e9].map(numbers.compact)).toEqual([
    '950', '1.00M', '12.35K', '1.23M', '123.5M', '2.50B',
  ])
})

test('ratios lose their decimals when they are large', () => {
  expect([0.5, 12.345, 1234.5].map(numbers.ratio)).toEqual(['0.50×', '12.35×', '1,235×'])
})

test('what is missing is a dash in every format', () => {
  const formats = [numbers.price, numbers.percent, numbers.ratio, numbers.whole, numbers.compact]
  for (const format of formats) {
    expect([null, undefined, 'text', NaN].map((value) => format(value))).toEqual(Array(4).fill(numbers.NONE))
  }
})

test('direction is told by sign', () => {
  expect([1, -1, 0, null].map(numbers.directionOf)).toEqual(['up', 'down', 'flat', 'flat'])
})
