// A stream as a readable body, which every framework knows how to send.

import { Readable } from 'node:stream'

import { adopt, descriptor, type Expected } from './adopt'
import { onServerClose } from './closing'
import type { Exchange, Host } from './mount'
import type { NativePull, NativeReply, NativeStream } from '../native'

/**
 * The bytes of a stream, which are taken from it as fast as the client takes them, until the socket can be handed over.
 * It ends when the server ends the stream; when the client goes, it is destroyed and the response is left as it is.
 */
export class PullBody extends Readable {
  readonly #host: Host
  readonly #exchange: Exchange | undefined
  readonly #expected: Expected
  readonly #mayAdopt: boolean
  #first: Buffer | undefined
  #stream: NativeStream | undefined
  #pull: NativePull | undefined
  #id: number | undefined
  #wanted = false
  #serverClosed = false
  #cutting: NodeJS.Timeout | undefined
  #forgetServer = (): void => {}

  /** Made before the head of the response is written. */
  constructor (host: Host, { body, stream }: NativeReply, exchange?: Exchange, mayAdopt = false) {
    super({ highWaterMark: BUFFER_BYTES })
    this.#host = host
    this.#exchange = exchange
    this.#expected = { before: exchange?.req.socket?.bytesWritten ?? 0, least: body.length }
    this.#mayAdopt = mayAdopt
    this.#first = body
    this.#stream = stream
    host.bodies.add(this)
    // It may be silent for longer than a server is patient.
    exchange?.req.socket?.setTimeout?.(0)
    if (exchange) {
      exchange.res.once('close', () => { this.#gone() })
      this.#forgetServer = onServerClose(exchange, () => { this.#finish() })
    } else {
      this.once('close', () => { setImmediate(() => { this.#gone() }) })
    }
  }

  /** Ends it now, whether the client has taken what is left or not. */
  cut (): void {
    this.#closeStream()
    // Through the response, which frameworks take for a client that goes, and not for an error of the application.
    if (this.#exchange) this.#exchange.res.destroy()
    else this.destroy()
  }

  /** @internal */
  override _read (): void {
    if (this.#first) {
      const first = this.#first
      this.#first = undefined
      this.push(first)
      // When what was pushed has gone through the framework and the response.
      setImmediate(() => { this.#choose() })
      return
    }
    this.#wanted = true
    this.#take()
  }

  /** @internal */
  override _destroy (_error: Error | null, done: (error?: Error | null) => void): void {
    this.#forgetServer()
    if (this.#id !== undefined) this.#host.bridge.forget(this.#id)
    this.#closeStream()
    // A client that went is no error of the application.
    done()
  }

  #choose (): void {
    if (this.destroyed || !this.#stream) return
    if (!this.#mayAdopt || !this.#exchange || this.#serverClosed) {
      this.#startPull()
      return
    }
    adopt(this.#exchange, this.#stream, this.#expected, outcome => {
      if (outcome === 'unfit') {
        this.#startPull()
      } else if (outcome === 'adopted') {
        this.#stream = undefined
        this.push(null)
      } else {
        this.cut()
      }
    })
  }

  #startPull (): void {
    if (this.destroyed || !this.#stream) return
    this.#id = this.#host.bridge.register(() => { this.#take() })
    try {
      this.#pull = this.#stream.pull(this.#id)
    } catch {
      this.push(null) // the events are closed
      return
    }
    this.#stream = undefined
    this.#tune()
    if (this.#serverClosed) this.#finish()
    else this.#take()
  }

  /** Lets the write timeout tell clients that are slow from those that take nothing. */
  #tune (): void {
    const socket = this.#exchange?.req.socket
    const fd = socket && !socket.destroyed ? descriptor(socket) : undefined
    try {
      if (fd !== undefined) this.#host.bridge.native.tune(fd)
    } catch {
      // The client has just gone.
    }
  }

  #take (): void {
    if (!this.#pull) return
    // While nothing is wanted nothing is taken, so a client that does not read costs what is in the buffers.
    const text = this.#wanted ? this.#pull.take() : undefined
    if (text) this.#wanted = this.push(text, 'utf8')
    else if (this.#pull.timedOut()) this.cut()
    else if (text === null) this.push(null)
  }

  /** The server is closed: the client is asked to come back. */
  #finish (): void {
    this.#serverClosed = true
    if (!this.#pull) return // it finishes when it has begun
    // For a client that does not take what is left.
    this.#cutting = setTimeout(() => { this.cut() }, this.#pull.writeTimeoutMs()).unref()
    const lastWords = this.#pull.finish()
    if (lastWords) this.push(lastWords, 'utf8')
    this.push(null)
    this.#wanted = false
  }

  #closeStream (): void {
    this.#stream?.close('client')
    this.#pull?.close('client')
  }

  #gone (): void {
    clearTimeout(this.#cutting)
    this.destroy()
    this.#host.bodies.delete(this)
  }
}

const BUFFER_BYTES = 16 * 1_024
