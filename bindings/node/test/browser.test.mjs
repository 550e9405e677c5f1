// The chat, the page of several workers, and a mount in Hono as the README has it, in a real browser.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
    const url = await start(t, 'chat-node', 'server.js')
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

  test('the page of several workers shows what any of them publishes, once', { timeout: 60_000 }, async t => {
    const folder = mkdtempSync(join(tmpdir(), 'evstream-workers-'))
    t.after(() => { rmSync(folder, { recursive: true }) })
    const url = await start(t, 'workers', 'cluster.js', { EVSTREAM_JOURNAL: `file:${folder}/events` })
    const pages = await Promise.all([1, 2, 3, 4].map(() => browser.newPage()))
    for (const page of pages) {
      const open = page.waitForResponse(response => response.url() === `${url}events/`)
      await page.goto(url)
      await open
    }
    for (const [number, page] of pages.entries()) {
      await page.getByLabel('A message').fill(`from ${number}`)
      await page.getByRole('button', { name: 'Publish' }).click()
      await page.locator('li', { hasText: `from ${number}` }).waitFor()
    }
    for (const page of pages) {
      await page.locator('li', { hasText: 'from 3' }).waitFor()
      const lines = await page.locator('li').allTextContents()
      assert.deepEqual(lines.map(line => line.replace(/\d+\)$/, 'N)')), [0, 1, 2, 3].map(number => `from ${number} (process N)`))
    }
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

/** Starts an example; gives its address. */
async function start (t, folder, file, env = {}) {
  const cwd = fileURLToPath(new URL(`../../../examples/${folder}`, import.meta.url))
  const child = spawn(process.execPath, [file], { cwd, env: { ...process.env, PORT: '0', ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
  return /Listening on (\S+)/.exec(line)[1]
}
