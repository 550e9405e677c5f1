// Handlers fit the frameworks they are for.
import http from 'node:http'
import type { Request as ExpressRequest, RequestHandler } from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { Events } from 'evstream'

const events = new Events()

http.createServer(events.express())
http.createServer(events.node(req => req.headers.host === 'a', { address: req => req.headers['x-real-ip'] as string }))
const handler: RequestHandler = events.express(['a'], { adopt: false })
const rooms: RequestHandler = events.express(req => [`room-${req.params['id']}`])
const typed: RequestHandler = events.express((req: ExpressRequest) => [`room-${req.params['id']}`])
void [handler, rooms, typed]

const fastify = Fastify()
fastify.get('/events/', events.fastify())
fastify.get('/rooms/:id', events.fastify(async request => [`room-${request.params.id}`]))

const hono = new Hono()
hono.get('/events/', events.fetch())
hono.get('/rooms/:id', events.fetch(c => [`room-${c.req.param('id')}`]))
export const GET: (request: Request) => Promise<Response> = events.fetch<Request>(['a'])

events.express({ public: ['clock', 'news-*'] })
events.express((_req, requested) => requested.every(channel => channel.startsWith('public-')))
events.express(() => ({ channels: true, user: 'bob' }))
const koa = new Koa()
koa.use(events.koa((ctx: Koa.Context) => [`room-${ctx['params'].id}`]))
koa.use(events.koa())
// @ts-expect-error an object has channels
events.express(() => ({ user: 'bob' }))
// @ts-expect-error and not undefined ones
events.express((req) => ({ channels: undefined as string[] | undefined }))
// @ts-expect-error nor others
events.express(() => ({ channel: ['a'] }))
// @ts-expect-error a number is no channel
events.express([5])
// @ts-expect-error a decision is none of that
events.express(() => 5)
// @ts-expect-error no such option
events.express(['a'], { adopted: true })

const server = await events.serve({ port: 0, path: '/', channels: request => request.headers.get('x-user') ?? false })
const url: string | undefined = server.url
void url
