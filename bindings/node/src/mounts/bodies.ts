// The responses that Node drives, so that closing can wait until they are sent.

import type { PullBody } from './body'

export class Bodies {
  readonly #unsent = new Set<PullBody>()
  readonly #whenSent = new Set<() => void>()

  add (body: PullBody): void {
    this.#unsent.add(body)
  }

  delete (body: PullBody): void {
    this.#unsent.delete(body)
    if (this.#unsent.size === 0) for (const tell of this.#whenSent) tell()
  }

  /** Waits until all have been sent, but not longer than the time given; cuts those that are left. */
  async sent (withinMs: number): Promise<void> {
    if (this.#unsent.size === 0) return
    await new Promise<void>(resolve => {
      const done = (): void => {
        clearTimeout(timeout)
        this.#whenSent.delete(done)
        resolve()
      }
      const timeout = setTimeout(done, withinMs)
      this.#whenSent.add(done)
    })
    for (const body of this.#unsent) body.cut()
  }
}
