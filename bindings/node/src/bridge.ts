// The JavaScript end of the one way from native threads to here: it is called once, and fetches all that has happened.

import { errorOf, translated } from './errors'
import { NativeEventsClass, type NativeEvents, type NativeRequest, type News } from './native'
import type { Logger } from './logger'

/** A request of the own server, on which the application is to decide. */
export type Ask = (id: number, request: NativeRequest, requested: string[]) => void

/** What is told to the application. */
export interface BridgeEnds {
  settings: Array<[name: string, value: boolean | number | string | string[]]>
  logger: Logger
  logLevel: string | undefined
  onNews: (news: News) => void
}

export class Bridge {
  readonly native: NativeEvents
  readonly #wakers = new Map<number, () => void>()
  readonly #asks = new Map<number, Ask>()
  readonly #logger: Logger
  readonly #onNews: (news: News) => void
  #lastId = 0
  #holds = 0
  #alive: NodeJS.Timeout | undefined
  #isClosing = false
  #hasEnded = false

  constructor ({ settings, logger, logLevel, onNews }: BridgeEnds) {
    // Weak, or an `Events` that the application has forgotten would never be freed.
    const self = new WeakRef<Bridge>(this)
    const onCall = (): void => {
      const bridge = self.deref()
      // The native half may have logged something and then refused the settings.
      if (bridge?.native) bridge.#fetch()
    }
    this.#logger = logger
    this.#onNews = onNews
    const [names, values] = [settings.map(([name]) => name), settings.map(([, value]) => value)]
    this.native = translated(() => new NativeEventsClass(names, values, onCall, logLevel))
  }

  /** A number by which native code can have `wake` called, until it is forgotten. */
  register (wake: () => void): number {
    return this.#add(this.#wakers, wake)
  }

  forget (id: number): void {
    this.#wakers.delete(id)
  }

  /** A number by which native code can ask, until that is forgotten. */
  registerAsk (ask: Ask): number {
    return this.#add(this.#asks, ask)
  }

  forgetAsk (id: number): void {
    this.#asks.delete(id)
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
    if (this.#holds++ > 0) return
    held.add(this)
    this.#alive = setInterval(() => {}, LONG_MS)
  }

  release (): void {
    if (--this.#holds > 0) return
    held.delete(this)
    clearInterval(this.#alive)
    if (this.#hasEnded) this.#letGo()
  }

  /** Refuses what comes from now on, before the native half has begun to close. */
  startClosing (): void {
    this.#isClosing = true
  }

  checkOpen (): void {
    if (this.#isClosing) throw errorOf('closed', 'the events are closed')
  }

  /** Lets go of the way from native threads as soon as nobody waits for anything any more. */
  end (): void {
    this.#hasEnded = true
    if (this.#holds === 0) this.#letGo()
  }

  #letGo (): void {
    this.#fetch()
    this.native.release()
  }

  #add<T> (to: Map<number, T>, value: T): number {
    do { this.#lastId = (this.#lastId + 1) >>> 0 } while (to.has(this.#lastId))
    to.set(this.#lastId, value)
    return this.#lastId
  }

  #fetch (): void {
    const { wakes, news, lost } = this.native.fetch()
    if (lost > 0) this.#logger.warn?.(`${lost} notices of streams were lost because the event loop was too busy`)
    for (const item of news) guarded(() => { this.#hear(item) })
    this.#wake(wakes, 0)
  }

  #hear (item: News): void {
    const { ask } = item
    if (ask) this.#asks.get(ask.mount)?.(ask.id, ask.request, ask.requested)
    else this.#onNews(item)
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

/** Those that must not be collected as garbage. */
const held = new Set<Bridge>()

const WAKES_PER_TURN = 256
/** The longest that a timer of Node can take. */
const LONG_MS = 2 ** 31 - 1
