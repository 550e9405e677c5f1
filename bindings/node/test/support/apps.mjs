// One application with a stream at `/events/`, in every framework.
import { once } from 'node:events'
import http from 'node:http'
import { serve as serveHono } from '@hono/node-server'
import compression from 'compression'
import connect from 'connect'
import cookie from '@fastify/cookie'
import express4 from 'express4'
import express5 from 'express5'
import Fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import morgan from 'morgan'
import session from 'express-session'
import Router from '@koa/router'

/** Each starts the application with a mount's channels and options, on a plain server or another, and gives `{ port, server }`. */
export const apps = {
  'node:http': (events, channels, options, serve = plain) => listen(serve(events.node(channels, options))),
  'Express 4': (events, channels, options, serve = plain) => express(express4, events, channels, options, serve),
  'Express 5': (events, channels, options, serve = plain) => express(express5, events, channels, options, serve),
  Connect (events, channels, options, serve = plain) {
    const app = connect()
    app.use(head)
    app.use('/events', events.node(channels, options))
    return listen(serve(app))
  },
  Koa (events, channels, options, serve = plain) {
    const app = new Koa()
    app.use(async (ctx, next) => {
      ctx.set('X-Middleware', 'yes')
      ctx.cookies.set('seen', '1')
      await next()
    })
    const router = new Router()
    router.get('/events/', events.koa(channels, options))
    app.use(router.routes())
    return listen(serve(app.callback()))
  },
  async Fastify (events, channels, options, serve = plain) {
    const app = Fastify({ logger: false, serverFactory: handler => serve(handler) })
    await app.register(cookie)
    app.addHook('onRequest', async (request, reply) => {
      reply.header('X-Middleware', 'yes')
      reply.setCookie('seen', '1')
    })
    app.get('/events/', events.fastify(channels, options))
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { port: app.server.address().port, server: app.server, app }
  },
  async Hono (events, channels, options, serve = plain) {
    const app = new Hono()
    app.use(async (c, next) => {
      c.header('X-Middleware', 'yes')
      c.header('Set-Cookie', 'seen=1')
      await next()
    })
    app.get('/events/', events.fetch(channels, options))
    return await new Promise(resolve => {
      const server = serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1', createServer: (_options, handler) => serve(handler) }, ({ port }) => { resolve({ port, server }) })
    })
  }
}

/** Those that cannot hand over a socket, whatever is asked for. */
export const neverAdopting = new Set(['Hono'])
/** Those without middleware of their own. */
export const bare = new Set(['node:http'])

function express (library, events, channels, options, serve) {
  const app = library()
  app.use(morgan('tiny', { stream: { write () {} } }))
  app.use(compression())
  app.use(session({ secret: 'test', resave: false, saveUninitialized: true, name: 'seen' }))
  app.use(head)
  app.get('/events/', events.express(channels, options))
  return listen(serve(app))
}

function plain (handler) {
  return http.createServer(handler)
}

function head (req, res, next) {
  res.setHeader('X-Middleware', 'yes')
  if (!res.getHeader('Set-Cookie')) res.setHeader('Set-Cookie', 'seen=1')
  next()
}

export async function listen (server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: server.address().port, server }
}

export function connections (server) {
  return new Promise((resolve, reject) => server.getConnections((error, count) => { error ? reject(error) : resolve(count) }))
}
