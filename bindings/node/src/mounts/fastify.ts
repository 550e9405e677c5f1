// Fastify 4 and 5.

import { Readable } from 'node:stream'
import type { IncomingMessage, ServerResponse } from 'node:http'

import { accessOf, type Channels } from '../access'
import { adopt, type Expected } from './adopt'
import { onServerClose } from './closing'
import { answer, eachHeader, type Host, type MountOptions } from './mount'
import { readRequest } from './node'
import type { NativePull, NativeReply, NativeStream } from '../native'

/** What we need of Fastify's request. */
export interface FastifyRequest {
  raw: IncomingMessage
  params: any
  query: any
  headers: IncomingMessage['headers']
}

/** What we need of Fastify's reply. */
export interface FastifyReply {
  raw: ServerResponse
  code(status: number): unknown
  header(name: string, value: any): unknown
  getHeader(name: string): number | string | string[] | undefined
  send(payload?: unknown): unknown
}

export function fastify<Req extends FastifyRequest> (
  host: Host, channels: Channels<Req> | undefined, options: MountOptions = {}
): (request: Req, reply: FastifyReply) => Promise<unknown> {
  const access = accessOf(channels, host.logger)
  const mayAdopt = options.adopt ?? host.adopt
  return async function eventStream (request, reply) {
    const answered = await answer(host, readRequest(request.raw), access, request)
    reply.code(answered.status)
    eachHeader(answered.headers, (name, value) => {
      const earlier = name.toLowerCase() === 'vary' ? reply.getHeader(name) : undefined
      reply.header(name, earlier === undefined ? value : `${String(earlier)}, ${value}`)
    })
    if (!answered.stream) return reply.send(answered.body)
    request.raw.socket.setTimeout?.(0)
    // As a payload and not behind Fastify's back, so that hooks add their headers and cookies.
    return reply.send(new StreamBody(host, request.raw, reply.raw, answered, mayAdopt))
  }
}

/** The bytes of a stream, until its socket can be handed over. */
class StreamBody extends Readable {
  readonly #host: Host
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #expected: Expected
  readonly #mayAdopt: boolean
  #first: Buffer | undefined
  #stream: NativeStream | undefined
  #pull: NativePull | undefined
  #id: number | undefined
  #wanted = false
  #forgetServer = (): void => {}

  constructor (host: Host, req: IncomingMessage, res: ServerResponse, reply: NativeReply, mayAdopt: boolean) {
    super({ highWaterMark: 16_384 })
    this.#host = host
    this.#req = req
    this.#res = res
    this.#expected = { before: req.socket.bytesWritten, least: reply.body.length }
    this.#first = reply.body
    this.#stream = reply.stream
    this.#mayAdopt = mayAdopt
  }

  override _read (): void {
    if (this.#first) {
      const first = this.#first
      this.#first = undefined
      this.push(first)
      // When what was pushed has gone through Fastify and the response.
      setImmediate(() => { this.#choose() })
      return
    }
    this.#wanted = true
    this.#take()
  }

  override _destroy (error: Error | null, done: (error?: Error | null) => void): void {
    this.#forgetServer()
    if (this.#id !== undefined) this.#host.bridge.forget(this.#id)
    this.#stream?.close('client')
    this.#pull?.close('client')
    done(error)
  }

  #choose (): void {
    if (this.destroyed || !this.#stream) return
    if (!this.#mayAdopt) {
      this.#startPull()
      return
    }
    adopt(this.#req, this.#res, this.#stream, this.#expected, outcome => {
      if (outcome === 'adopted') this.#leave()
      else if (outcome === 'unfit') this.#startPull()
      else this.destroy()
    })
  }

  /** Ends for Fastify as a payload that is complete, so that it logs no error, without a byte more on the wire. */
  #leave (): void {
    this.#stream = undefined
    this.unpipe(this.#res)
    this.once('end', () => { this.#req.socket.destroy() })
    this.push(null)
    this.resume()
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
    this.#forgetServer = onServerClose(this.#req, this.#res, () => { this.#finish() })
    this.#take()
  }

  #take (): void {
    if (!this.#wanted || !this.#pull) return
    const text = this.#pull.take()
    if (text !== undefined) this.#wanted = this.push(text, 'utf8')
  }

  #finish (): void {
    const lastWords = this.#pull?.finish()
    if (lastWords) this.push(lastWords, 'utf8')
    this.push(null)
    this.#wanted = false
  }
}
