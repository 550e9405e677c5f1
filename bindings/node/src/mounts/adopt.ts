// Handing the socket of a response to the native engine.
//
// Node sends the head and the first bytes, so that middleware has its say. When the kernel has taken all of them the
// engine gets a duplicate of the descriptor. For the application the response then ends as any other, so that sessions are
// stored and loggers write their line; but what Node still writes goes nowhere, and its own socket is destroyed, which
// closes no connection.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import type { Exchange } from './mount'
import type { NativeStream } from '../native'

/** `unfit`: nothing has happened, go on in another way. `failed`: the stream is lost. */
export type Outcome = 'adopted' | 'unfit' | 'failed'

/** How much the socket had written before the response, and how much the response must have added at least. */
export interface Expected {
  before: number
  least: number
}

/** Hands the socket over as soon as it has sent what was written. The caller ends the response then. */
export function adopt (
  { req, res }: Exchange, stream: NativeStream, bytes: Expected, done: (outcome: Outcome) => void
): void {
  const socket = req.socket
  if (!isPlain(req, res, socket)) {
    done('unfit')
    return
  }
  // In the next tick, because the response holds its first write back until then.
  process.nextTick(whenSent, socket, () => {
    if (socket.destroyed || res.destroyed) {
      stream.close('client')
      done('failed')
    } else if (isReady(res, socket, bytes)) {
      done(handOver(res, socket, stream))
    } else {
      done('unfit')
    }
  })
}

function handOver (res: ServerResponse, socket: Socket, stream: NativeStream): Outcome {
  try {
    stream.adopt(descriptor(socket)!, (res as Internals).chunkedEncoding === true)
  } catch {
    return 'unfit' // no descriptor is left
  }
  detach(res, socket)
  return 'adopted'
}

/** From now on Node neither reads the connection nor writes to it, and lets go of it when the response has ended. */
function detach (res: ServerResponse, socket: Socket): void {
  socket.pause()
  socket._write = (_chunk, _encoding, done) => { done() }
  socket._writev = (_chunks, done) => { done() }
  socket._final = done => { done() }
  // Middleware may hold the end back, for instance until a session is stored, but not for ever.
  const timeout = setTimeout(() => { socket.destroy() }, END_MS).unref()
  res.once('close', () => {
    clearTimeout(timeout)
    socket.destroy()
  })
}

/** Whether bytes written to the descriptor are what the client reads. */
function isPlain (req: IncomingMessage, res: ServerResponse, socket: Socket | undefined): socket is Socket {
  return req.httpVersionMajor === 1 &&
    socket !== undefined &&
    // Another response before this one on the connection is not finished.
    res.socket === socket &&
    !('encrypted' in socket && socket.encrypted) &&
    ['TCP', 'Pipe'].includes(handleOf(socket)?.constructor.name ?? '') &&
    descriptor(socket) !== undefined
}

/** Whether the head and the first bytes are out as they were given, and announce a framing that the engine can go on with. */
function isReady (res: ServerResponse, socket: Socket, bytes: Expected): boolean {
  return res.headersSent &&
    !res.writableEnded &&
    !res.hasHeader('content-encoding') &&
    !res.hasHeader('content-length') &&
    ((res as Internals).chunkedEncoding === true || !res.shouldKeepAlive) &&
    socket.writableLength === 0 &&
    socket.bytesWritten - bytes.before >= bytes.least
}

/** Calls back when the socket has handed everything to the kernel, or is gone. */
function whenSent (socket: Socket, done: () => void): void {
  if (socket.writableLength === 0 || socket.destroyed) done()
  else socket.write('', done) // queued behind what waits
}

/** The descriptor of a connection, which may be encrypted. */
export function descriptor (socket: Socket): number | undefined {
  const fd = handleOf(socket)?.fd
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

function handleOf (socket: Socket): { fd?: unknown, constructor: { name: string } } | null | undefined {
  return (socket as unknown as { _handle?: { fd?: number, constructor: { name: string } } | null })._handle
}

type Internals = ServerResponse & { chunkedEncoding?: boolean }

const END_MS = 30_000
