// The JavaScript end of the one way from native threads to here: it is called once, and fetches all that has happened.

import { native } from './errors'
import { NativeEventsClass, type NativeEvents, type News } from './native'
import type { Logger } from './logger'

export class Bridge {
  readonly native: NativeEvents
  onNews: (news: News) => void = () => {}
  readonly #wakers = new Map<number, () => void>()
  readonly #logger: Logger
  #lastId = 0
  #holds = 0
  #alive: NodeJS.Timeout | undefined

  constructor (names: string[], values: Array<boolean | number | string | string[]>, logger: Logger, logLevel?: string) {
    // Weak, or an `Events` that the application has forgotten would never be freed.
    const self = new WeakRef<Bridge>(this)
    const onCall = (): void => {
      const bridge = self.deref()
      // The native half may have logged something and then refused the settings.
      if (bridge?.native) bridge.#fetch()
    }
    this.#logger = logger
    this.native = native(() => new NativeEventsClass(names, values, onCall, logLevel))
  }

  /** A number by which native code can have `wake` called, until it is forgotten. */
  register (wake: () => void): number {
    do { this.#lastId = (this.#lastId + 1) >>> 0 } while (this.#wakers.has(this.#lastId))
    this.#wakers.set(this.#lastId, wake)
    return this.#lastId
  }

  forget (id: number): void {
    this.#wakers.delete(id)
  }

  /** Asks whenever it is worth it until there is an answer. Keeps the process alive until then. */
  async wait<T> (ask: (id: number) => T | null | undefined): Promise<T> {
    return await new Promise((resolve, reject) => {
      const attempt = (): void => {
        try {
          const answer = ask(id)
          if (answer === null || answer === undefined) return
          settle()
          resolve(answer)
        } catch (error) {
          settle()
          reject(error)
        }
      }
      const id = this.register(attempt)
      const settle = (): void => { this.forget(id); this.release() }
      this.hold()
      attempt()
    })
  }

  /** Keeps the process alive, and this with all that depends on it, until as many calls of `release`. */
  hold (): void {
    if (this.#holds++ === 0) this.#alive = setInterval((_held: Bridge) => {}, LONG_MS, this)
  }

  release (): void {
    if (--this.#holds === 0) clearInterval(this.#alive)
  }

  #fetch (): void {
    const { wakes, news, lost } = this.native.fetch()
    if (lost > 0) this.#logger.warn?.(`${lost} notices of streams were lost because the event loop was too busy`)
    for (const item of news) guarded(() => { this.onNews(item) })
    this.#wake(wakes, 0)
  }

  /** Wakes some at a time, so that what else the event loop has to do is not held up. */
  #wake (ids: number[], start: number): void {
    const end = Math.min(start + WAKES_PER_TURN, ids.length)
    for (let index = start; index < end; index++) {
      const wake = this.#wakers.get(ids[index]!)
      if (wake) guarded(wake)
    }
    if (end < ids.length) setImmediate(() => { this.#wake(ids, end) })
  }
}

/** An error in a listener is the listener's: it is thrown where Node reports it, and the others still hear. */
function guarded (call: () => void): void {
  try {
    call()
  } catch (error) {
    process.nextTick(() => { throw error })
  }
}

const WAKES_PER_TURN = 256
/** The longest that a timer of Node can take. */
const LONG_MS = 2 ** 31 - 1
