// What a stream has begun to write and not yet finished.

/** Bounds how much is begun at a time. */
export class InFlight {
  #count = 0
  #waiting: { below: number, call: () => void } | undefined

  /** Counts until it is settled; calls `next` when there is room for more. */
  add (work: PromiseLike<unknown>, next: () => void): void {
    const settle = (): void => {
      this.#count--
      this.#look()
    }
    this.#count++
    work.then(settle, settle)
    this.#when(MAX_IN_FLIGHT, next)
  }

  /** Calls back when all is settled. */
  end (done: () => void): void {
    this.#when(1, done)
  }

  #when (below: number, call: () => void): void {
    this.#waiting = { below, call }
    this.#look()
  }

  #look (): void {
    if (!this.#waiting || this.#count >= this.#waiting.below) return
    const { call } = this.#waiting
    this.#waiting = undefined
    call()
  }
}

export const MAX_IN_FLIGHT = 16
