// The code of the READMEs does in a browser what it says.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { build } from 'esbuild'
import { useBrowser } from './support/browser.mjs'
import { startServer } from './support/server.mjs'
import { until } from './support/until.mjs'

const OPTIONS = { timeout: 60_000 }
const browser = useBrowser()
const [own, project] = ['../README.md', '../../../README.md'].map(path => readFileSync(new URL(path, import.meta.url), 'utf8'))

/** The one piece of code of a README that holds a text. */
function code (readme, language, text) {
  const found = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, lang, body]) => lang === language && body.includes(text))
  assert.equal(found.length, 1, `${found.length} pieces of ${language} with ${text}`)
  return found[0][2]
}

/** Runs a piece in a page of a server. `shown` is what it has given to `show`. */
async function run (t, piece, settings) {
  const server = await startServer(t, settings)
  const page = await (await browser.profile(t)).newPage()
  await page.goto(server.url)
  const { outputFiles: [{ text }] } = await build({
    stdin: { contents: piece, loader: 'jsx', resolveDir: new URL('.', import.meta.url).pathname },
    bundle: true,
    format: 'esm',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' }, // in which React mounts twice
    write: false
  })
  await page.evaluate(() => {
    globalThis.shown = []
    globalThis.show = (...words) => globalThis.shown.push(words)
  })
  await page.addScriptTag({ type: 'module', content: text })
  const shown = () => page.evaluate(() => globalThis.shown)
  await until('the stream', async () => (await server.stats()).open === 1)
  return { server, page, shown }
}

for (const [name, readme] of [['the package', own], ['the project', project]]) {
  test(`the way in, of ${name}`, OPTIONS, async t => {
    const { server, page, shown } = await run(t, code(readme, 'js', "import { connect } from '@evstream/client'"))
    await until('the status', async () => await page.title() === 'open')
    server.publish('{"text":"hi"}', 'messages')
    const [[text, position]] = await until('the event', async () => (await shown()).length > 0 && shown())
    assert.equal(text, 'hi')
    assert.match(position, /^[0-9a-f]{8}-/)
    await server.close()
    await until('it waits', async () => await page.title() === 'waiting')
  })
}

test('a loop', OPTIONS, async t => {
  const { server, shown } = await run(t, code(own, 'js', 'eventsOf('))
  server.publish('1', 'messages')
  server.publish('2', 'messages')
  await until('the events', async () => (await shown()).length === 2)
  assert.deepEqual(await shown(), [['message', 1], ['message', 2]])
})

test('React, whose strict mode mounts twice', OPTIONS, async t => {
  const { server, page } = await run(t, `${code(own, 'jsx', 'useSyncExternalStore')}
    import { StrictMode } from 'react'
    import { createRoot } from 'react-dom/client'
    createRoot(document.body).render(<StrictMode><Messages /></StrictMode>)`)
  const list = page.locator('ul')
  await until('the status', async () => await list.getAttribute('class') === 'open')
  for (const text of ['one', 'two']) server.publish(JSON.stringify({ text }), 'messages')
  await until('both', async () => await list.locator('li').count() >= 2)
  assert.deepEqual(await list.locator('li').allTextContents(), ['one', 'two'])
  await server.close()
  await until('it waits', async () => await list.getAttribute('class') === 'waiting')
})
