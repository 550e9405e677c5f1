// Handing the socket of a response to the native engine.
//
// Node sends the head and the first bytes, so that middleware has its say. When the kernel has taken all of them the
// engine gets a duplicate of the descriptor, and Node's own socket is destroyed, which closes no connection then.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import type { NativeStream } from '../native'

/** `unfit`: nothing has happened, go on in another way. `failed`: the stream is lost. */
export type Outcome = 'adopted' | 'unfit' | 'failed'

/** How much the socket had written before the response, and how much the response must have added at least. */
export interface Expected {
  before: number
  least: number
}

/** Hands the socket over as soon as it has sent what was written. The caller destroys it afterwards. */
export function adopt (
  req: IncomingMessage, res: ServerResponse, stream: NativeStream, bytes: Expected, done: (outcome: Outcome) => void
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
    return 'adopted'
  } catch {
    return 'failed' // no descriptor is left, or the events are closed
  }
}

/** Whether bytes written to the descriptor are what the client reads. */
function isPlain (req: IncomingMessage, res: ServerResponse, socket: Socket | undefined): socket is Socket {
  return process.platform !== 'win32' &&
    req.httpVersionMajor === 1 &&
    socket !== undefined &&
    // Another response before this one on the connection is not finished.
    res.socket === socket &&
    !('encrypted' in socket && socket.encrypted) &&
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

function descriptor (socket: Socket): number | undefined {
  const handle = (socket as unknown as { _handle?: { fd?: number, constructor: { name: string } } })._handle
  const isSystemSocket = handle?.constructor.name === 'TCP' || handle?.constructor.name === 'Pipe'
  return isSystemSocket && typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined
}

type Internals = ServerResponse & { chunkedEncoding?: boolean }
