// A server that goes away and comes back on the same port: the page reconnects, and is told that events may be missing.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { useBrowser } from './support/browser.js'
import { quietPort, startDemo } from './support/demo.js'

const browser = useBrowser()

test('a killed server is found again, and the reset is told', async t => {
  const demo = await startDemo(t, { port: await quietPort() })
  const page = await browser.open(t, demo.url)
  await page.open()
  await demo.post('before')
  await page.message('before')

  await demo.kill()
  await page.status('reconnecting')
  await page.connectionRow('lost')
  const again = await startDemo(t, { port: demo.port })
  await assertReset(page, again)
})

test('an interrupted server ends at once and cleanly, with streams open', async t => {
  const demo = await startDemo(t, { port: await quietPort() })
  const page = await browser.open(t, demo.url)
  await page.open()
  await demo.post('before')
  await page.message('before')

  assert.deepEqual(await demo.interrupt(), { code: 0, signal: null })
  await page.status('reconnecting')
  const again = await startDemo(t, { port: demo.port })
  await assertReset(page, again)
})

async function assertReset (page, demo) {
  const reset = await page.connectionRow('reset')
  assert.equal(reset.name, 'Reset: epoch')
  assert.match(reset.text, /^The server has started afresh .* Reading clock, messages from position \S+$/)
  await page.open()
  assert.equal(await page.count('reset'), 1)
  assert.equal(await page.count('reconnect'), 1)
  await demo.post('after')
  await page.message('after')
  assert.deepEqual(await page.messages(), ['before', 'after'])
}
