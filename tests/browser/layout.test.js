// The page in wide and narrow windows, light and dark. With SCREENSHOTS set, pictures go to target/screenshots/.

import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { useBrowser } from './support/browser.js'
import { startDemo } from './support/demo.js'
import { startProxy } from './support/proxy.js'

const TARGET = fileURLToPath(new URL('../../target/screenshots/', import.meta.url))
const WINDOWS = {
  wide: { width: 1280, height: 820 },
  narrow: { width: 390, height: 844 },
  smallest: { width: 320, height: 568 } // the least that accessibility rules ask for (WCAG 1.4.10)
}

const browser = useBrowser()

for (const [name, viewport] of Object.entries(WINDOWS)) {
  for (const colorScheme of ['light', 'dark']) {
    test(`fits a ${name} window, ${colorScheme}`, async t => {
      const demo = await startDemo(t)
      const proxy = await startProxy(t, demo.port)
      const page = await browser.open(t, proxy.url, { viewport, colorScheme, deviceScaleFactor: 2 })
      await page.open()
      await page.send('Hello from the other window')
      await demo.post('x'.repeat(300))
      proxy.cut()
      await page.status('reconnecting')
      await assertFits(page)
      await demo.post('This one was sent while the line was cut, and is long enough to need more than one line in the log.')
      proxy.mend()
      await page.open()
      await page.send('Last one')
      await page.message('Last one')

      await assertFits(page)
      for (const id of ['status', 'clock', 'text', 'events', 'connection']) {
        assert.ok(await page.page.locator(`#${id}`).isVisible(), `#${id} is visible`)
      }
      if (process.env.SCREENSHOTS) {
        await page.page.screenshot({ path: path.join(TARGET, `page-${name}-${colorScheme}.png`), fullPage: name !== 'wide' })
      }
    })
  }
}

async function assertFits (page) {
  const tooWide = await page.page.evaluate(() => [document.documentElement, ...document.querySelectorAll('ol')]
    .filter(element => element.scrollWidth > element.clientWidth)
    .map(element => `${element.id || element.localName}: ${element.scrollWidth} px in ${element.clientWidth} px`))
  assert.deepEqual(tooWide, [])
}
