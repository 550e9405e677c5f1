// Errors that nobody has asked for: they are logged and counted, and never end the process.

import { log, type Logger } from './logger'

export class Unheard {
  readonly #logger: Logger
  count = 0

  constructor (logger: Logger) {
    this.#logger = logger
  }

  report (error: unknown, what = 'an event was not published'): void {
    this.count++
    log(this.#logger, 'error', `${what}: ${(error as Error)?.message ?? String(error)}`)
  }

  /** A rejected promise, which is reported when it has not been awaited by the time the event loop turns. */
  reject<T> (error: unknown, what?: string): Promise<T> {
    const rejected = Rejected.of<T>(error)
    setImmediate(() => { if (!rejected.isHeard) this.report(error, what) })
    return rejected
  }
}

/** Tells whether someone has looked at it. `await` also calls the `then` of a promise that is not quite a `Promise`. */
class Rejected<T> extends Promise<T> {
  isHeard = false

  static of<T> (error: unknown): Rejected<T> {
    const rejected = new Rejected<T>((_resolve, reject) => { reject(error) })
    // Node is to take it as handled.
    Promise.prototype.then.call(rejected, undefined, () => {})
    return rejected
  }

  /** What is chained to it are plain promises. */
  static override get [Symbol.species] (): PromiseConstructor {
    return Promise
  }

  override then<A = T, B = never> (
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null, onRejected?: ((error: any) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    this.isHeard = true
    return super.then(onFulfilled, onRejected)
  }
}
