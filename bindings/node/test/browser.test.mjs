// The chat, and a mount in Hono as the README has it, in a real browser.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { chromium } from 'playwright-core'
import { Events } from 'evstream'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

describe('in Chromium', { skip: existsSync(executablePath) ? false : `${executablePath} is not there` }, () => {
  let browser
  before(async () => { browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] }) })
  after(() => browser.close())

  test('the chat goes on after a reload', { timeout: 60_000 }, async t => {
    const cwd = fileURLToPath(new URL('../../../examples/chat-node', import.meta.url))
    const child = spawn(process.execPath, ['server.js'], { cwd, env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => child.kill('SIGKILL'))
    const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
    const url = /Listening on (\S+)/.exec(line)[1]
    const enter = async user => {
      const page = await (await browser.newContext()).newPage()
      await page.goto(`${url}?room=tea&user=${user}`)
      await page.getByText('connected', { exact: true }).waitFor()
      return page
    }
    const say = async (page, text) => {
      await page.getByLabel('Message').fill(text)
      await page.getByRole('button', { name: 'Say' }).click()
    }
    const ann = await enter('ann')
    const bob = await enter('bob')
    await ann.locator('#here', { hasText: 'ann, bob' }).waitFor()
    await say(ann, 'hi bob')
    await bob.locator('#said li', { hasText: 'hi bob' }).waitFor()
    await bob.goto('about:blank')
    await ann.locator('#here', { hasText: /^ann$/ }).waitFor()
    await say(ann, 'are you there?')
    await bob.goto(`${url}?room=tea&user=bob`)
    await bob.locator('#said li', { hasText: 'are you there?' }).waitFor()
    assert.deepEqual(await bob.locator('#said li').allTextContents(), ['annhi bob', 'annare you there?'])
  })

  test('a mount in Hono', { timeout: 60_000 }, async t => {
    const events = new Events({ logger: false })
    const app = new Hono()
    app.get('/', c => c.html('<!doctype html><title>Hono</title>'))
    app.get('/events/', events.fetch())
    const server = await new Promise(resolve => {
      const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () => { resolve(server) })
    })
    t.after(async () => { await events.close(); server.close(); server.closeAllConnections() })
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${server.address().port}/`)
    const received = page.evaluate(() => new Promise(resolve => {
      const source = new EventSource('/events/?channel=clock')
      source.addEventListener('stream-open', () => { document.title = 'open' })
      source.addEventListener('time', event => { resolve(JSON.parse(event.data)); source.close() })
    }))
    await page.waitForFunction(() => document.title === 'open')
    await events.publish('clock', { event: 'time', data: { value: 'noon' } })
    assert.deepEqual(await received, { value: 'noon' })
  })
})
