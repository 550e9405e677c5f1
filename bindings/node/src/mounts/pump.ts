// Driving a stream through a response of Node, with its back-pressure.

import type { IncomingMessage, ServerResponse } from 'node:http'

import { onServerClose } from './closing'
import { flush } from './node'
import type { Host } from './mount'
import type { CloseReason, NativePull, NativeStream } from '../native'

/** Writes the stream's bytes to `res` as fast as it takes them, until either ends. */
export function pump (host: Host, req: IncomingMessage, res: ServerResponse, stream: NativeStream): void {
  const id = host.bridge.register(() => { write() })
  let pull: NativePull
  try {
    pull = stream.pull(id)
  } catch {
    host.bridge.forget(id)
    res.end() // the events are closed
    return
  }
  let blocked = false
  let timeout: NodeJS.Timeout | undefined

  const write = (): void => {
    if (blocked) return
    const text = pull.take()
    if (text === null) end('dropped')
    else if (text !== undefined) send(text)
  }
  const send = (text: string): void => {
    blocked = !res.write(text, 'utf8')
    flush(res)
    if (blocked) {
      // Nothing more is taken from the stream meanwhile, so a client that does not read costs what is in the buffers.
      timeout = setTimeout(() => { end('write-timeout') }, pull.writeTimeoutMs())
      timeout.unref()
    }
  }
  const onDrain = (): void => {
    clearTimeout(timeout)
    blocked = false
    write()
  }
  const end = (reason: CloseReason): void => {
    clearTimeout(timeout)
    host.bridge.forget(id)
    forgetServer()
    res.off('drain', onDrain)
    res.off('close', onClose)
    pull.close(reason)
    if (reason === 'write-timeout') res.destroy()
    else res.end()
  }
  const onClose = (): void => { end('client') }
  const forgetServer = onServerClose(req, res, () => {
    const lastWords = pull.finish()
    if (lastWords) res.write(lastWords, 'utf8')
    end('shutdown')
  })
  res.on('drain', onDrain)
  res.on('close', onClose)
  write()
}
