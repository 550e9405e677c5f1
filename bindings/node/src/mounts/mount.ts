// What all mounts have in common.

import { type Access } from '../access'
import type { Bridge } from '../bridge'
import type { Logger } from '../logger'
import type { NativeReply, NativeRequest } from '../native'

/** How streams of a mount are driven. */
export interface MountOptions {
  /**
   * Whether sockets may be handed to the native engine, which then writes to them without a turn of the event loop.
   * Only plain HTTP/1.1 responses are; the bytes on the wire are the same. Default: the setting of the `Events`, true.
   */
  adopt?: boolean
}

/** What a mount needs of its `Events`. */
export interface Host {
  readonly bridge: Bridge
  readonly logger: Logger
  readonly adopt: boolean
}

/** The answer to a request. The application is only asked where its word is needed. */
export function answer<Source> (
  host: Host, request: NativeRequest, access: Access<Source>, source: Source
): NativeReply | Promise<NativeReply> {
  const { native } = host.bridge
  if (access.fixed) return native.open(request, access.fixed)
  const screened = native.screen(request)
  if (screened) return screened
  const decided = access.decide(source)
  if (decided instanceof Promise) return decided.then(decision => native.open(request, decision))
  return native.open(request, decided)
}

/** Goes through names and values that stand in turn. */
export function eachHeader (headers: string[], use: (name: string, value: string) => void): void {
  for (let index = 0; index < headers.length; index += 2) use(headers[index]!, headers[index + 1]!)
}
