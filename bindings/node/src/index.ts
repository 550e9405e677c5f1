// evstream: live event streams for the endpoints an application already has.

export { Events } from './events'
export type { EventsEvents, EventsOptions, PublishFailure } from './events'
export { Channel } from './channel'
export { Server } from './server'
export type { Mount, ServeOptions, ServerRequest } from './server'
export { Subscription } from './subscription'
export type { Message, ReceivedEvent, Reset } from './subscription'
export {
  ArgumentError, ClosedError, ConfigError, EvstreamError, Forbidden, InternalError, IoError, ProxyError, TimeoutError
} from './errors'
export type { ErrorCode } from './errors'
export type { Channels, Decision } from './access'
export type { DataEvent, EventInput, ProxyResult, Receipt, TextEvent } from './event'
export type { Logger } from './logger'
export type { CloseReason, Stats, StreamInfo } from './native'
export type { Settings } from './options'
export type { CloseOptions } from './timeout'
export type { ExpressHandler, ExpressRequest } from './mounts/express'
export type { FastifyReply, FastifyRequest } from './mounts/fastify'
export type { FetchHandler, FetchOptions, FetchSource } from './mounts/fetch'
export type { KoaContext } from './mounts/koa'
export type { MountOptions } from './mounts/mount'
