// The chat examples: rooms, who may read them, and what was missed. `CHAT_CMD` starts one, as `DEMO_CMD` does a demo.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { useBrowser } from './support/browser.js'
import { startDemo } from './support/demo.js'
import { startProxy } from './support/proxy.js'
import { until } from './support/until.js'

const command = process.env.CHAT_CMD
const skip = command ? false : 'CHAT_CMD is not set'
const browser = useBrowser()

test('what is said in a room is read by those in it, and by nobody else', { skip }, async t => {
  const chat = await startDemo(t, { command })
  const [alice, bob, carol] = await Promise.all(['alice', 'bob', 'carol'].map(() => browser.blank(t)))
  await enter(alice, chat.url, 'alice', 'private-tea')
  await enter(bob, chat.url, 'bob', 'private-tea')
  await enter(carol, chat.url, 'carol', 'lobby')
  await say(alice, 'biscuits?')
  await read(bob, 'alicebiscuits?')
  await say(bob, '<b>yes</b>') // text, and no markup
  await read(alice, 'bob<b>yes</b>')
  assert.deepEqual((await rows(carol)).filter(row => /alice|bob/.test(row)), [])
})

test('a private room is closed to those who have not joined it', { skip }, async t => {
  const chat = await startDemo(t, { command })
  const page = await browser.blank(t)
  await enter(page, chat.url, 'eve', 'private-tea', { join: false })
  await until('the refusal', async () => await page.locator('#status').textContent() === 'join the room first')
  assert.equal(await page.locator('#say').isVisible(), false)
})

test('what was missed is read after coming back', { skip }, async t => {
  const chat = await startDemo(t, { command })
  const proxy = await startProxy(t, chat.port)
  const [alice, bob] = await Promise.all([browser.blank(t), browser.blank(t)])
  await enter(alice, chat.url, 'alice', 'lobby')
  await enter(bob, proxy.url, 'bob', 'lobby')
  await say(alice, 'one')
  await read(bob, 'aliceone')
  proxy.cut()
  await say(alice, 'two')
  proxy.mend()
  await read(bob, 'alicetwo')
  assert.deepEqual((await rows(bob)).filter(row => row.startsWith('alice')), ['aliceone', 'alicetwo'])
})

async function enter (page, url, name, room, { join = true } = {}) {
  await page.goto(String(url))
  await page.fill('[name=name]', name)
  await page.fill('[name=room]', room)
  await page.setChecked('[name=join]', join)
  await page.click('#enter button')
  if (join) await until(`${name} is in ${room}`, async () => await page.locator('#status').textContent() === `In ${room}`)
}

async function say (page, text) {
  await page.fill('[name=text]', text)
  await page.click('#say button')
}

const rows = page => page.locator('#messages li').evaluateAll(items => items.map(item => item.textContent))
const read = (page, row) => until(`the row "${row}"`, async () => (await rows(page)).includes(row))
