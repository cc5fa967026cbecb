import { expect, test } from 'vitest'
import { FrameBatch } from '../../src/feed/frames'

test('many changes of a feed between two frames are drawn once', () => {
  const { batch, drawn, frame } = screen(2)
  batch.add(['board'])
  batch.add(['board', 'quote'])
  expect(drawn).toEqual([])
  frame()
  expect(drawn).toEqual(['board', 'quote'])
  expect(frame()).toBe(false)
})

test('a burst spreads over neighbouring frames', () => {
  const { batch, drawn, frame } = screen(2)
  batch.add(['a', 'b', 'c'])
  frame()
  expect(drawn).toEqual(['a', 'b'])
  frame()
  expect(drawn).toEqual(['a', 'b', 'c'])
})

function screen(perFrame: number): { batch: FrameBatch<string>; drawn: string[]; frame: () => boolean } {
  const drawn: string[] = []
  const asked: (() => void)[] = []
  const batch = new FrameBatch<string>((key) => drawn.push(key), perFrame, (run) => asked.push(run))
  const frame = (): boolean => {
    const run = asked.shift()
    run?.()
    return run !== undefined
  }
  return { batch, drawn, frame }
}
