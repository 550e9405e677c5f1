// Debian's Chromium, and the demo page as a test sees it.

import { after, before } from 'node:test'
import { chromium } from 'playwright-core'
import { until } from './until.js'

const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium'
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

/** One browser, with a fresh profile, for all tests of a file. Each `open` has its own context, which ends with its test. */
export function useBrowser () {
  let browser
  before(async () => { browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS }) })
  after(() => browser?.close())
  return {
    /** Opens the demo page, in `blank` where the test has prepared one. */
    async open (t, url, options = {}, blank = undefined) {
      const page = blank ?? await this.blank(t, options)
      await page.goto(String(url))
      return new DemoPage(page)
    },
    async blank (t, options = {}) {
      const context = await browser.newContext(options)
      t.after(() => context.close())
      return await context.newPage()
    }
  }
}

class DemoPage {
  constructor (page) {
    this.page = page
  }

  /** Waits until the page says that its stream is open. */
  open () {
    return this.status('open')
  }

  status (status) {
    const probe = async () => await this.page.locator('html').getAttribute('data-status') === status
    return until(`the page is ${status}`, probe)
  }

  text (id) {
    return this.page.locator(`#${id}`).textContent()
  }

  async count (id) {
    return Number(await this.text(`${id}-count`))
  }

  /** Rows of the event log, oldest first: `{ name, text, position }`. */
  async events (name) {
    const rows = await this.#rows('#events')
    return name === undefined ? rows : rows.filter(row => row.name === name)
  }

  async messages () {
    return (await this.events('message')).map(row => row.text)
  }

  /** Rows of the connection log, oldest first: `{ kind, name, text }`. */
  connection () {
    return this.#rows('#connection')
  }

  /** Waits for a row of that kind in the connection log, and returns the newest. */
  connectionRow (kind) {
    return until(`a row "${kind}" in the connection log`, async () => (await this.connection()).findLast(row => row.kind === kind))
  }

  /** Waits until a message with this text is there. */
  message (text) {
    return until(`the message "${text}"`, async () => (await this.messages()).includes(text))
  }

  async send (text) {
    await this.page.fill('#text', text)
    await this.page.click('#compose button')
  }

  #rows (list) {
    return this.page.locator(`${list} li`).evaluateAll(rows => rows.reverse().map(row => ({
      kind: row.dataset.kind,
      name: row.querySelector('.name').textContent,
      text: row.querySelector('.text').textContent,
      position: row.querySelector('.position')?.textContent
    })))
  }
}
