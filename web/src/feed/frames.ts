/** One batch of work per animation frame, however many messages arrive between two. */

type Request = (callback: () => void) => unknown

/**
 * Collects keys and hands them over once per frame.
 *
 * At most `perFrame` keys go out in one frame, oldest first, so that bursts from several
 * feeds spread over neighbouring frames and none of them runs long.
 */
export class FrameBatch<K> {
  readonly #dirty = new Set<K>()
  readonly #draw: (key: K) => void
  readonly #perFrame: number
  readonly #request: Request
  #isScheduled = false

  constructor(draw: (key: K) => void, perFrame: number, request: Request = requestAnimationFrame) {
    this.#draw = draw
    this.#perFrame = perFrame
    this.#request = request
  }

  add(keys: Iterable<K>): void {
    for (const key of keys) this.#dirty.add(key)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled || this.#dirty.size === 0) return
    this.#isScheduled = true
    const request = this.#request // browsers refuse theirs as a method of another object
    request(() => this.#run())
  }

  #run(): void {
    this.#isScheduled = false
    for (const key of [...this.#dirty].slice(0, this.#perFrame)) {
      this.#dirty.delete(key)
      this.#draw(key)
    }
    this.#schedule()
  }
}
