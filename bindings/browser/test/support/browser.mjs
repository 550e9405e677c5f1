// Chromium with tabs that read a stream, and what they have seen.

import { after, before } from 'node:test'
import { chromium } from 'playwright-core'
import { until } from './until.mjs'

const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium'
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** One browser for all tests of a file; each `profile` ends with its test. */
export function useBrowser () {
  let server
  let browser
  before(async () => {
    server = await chromium.launchServer({ executablePath: CHROMIUM, headless: true, args: FLAGS, ignoreDefaultArgs: ['--disable-back-forward-cache'] })
    browser = await chromium.connect(server.wsEndpoint())
  })
  after(() => server?.close())
  return {
    /** Sends a signal to all its processes. */
    signal (name) {
      process.kill(-server.process().pid, name)
    },
    async profile (t) {
      const context = await browser.newContext()
      t.after(() => context.close())
      return context
    }
  }
}

export class Tab {
  /** Opens a tab, and a stream in it: `url` with `options`. */
  static async open (context, server, options = {}, url = '/events/') {
    const tab = new Tab()
    tab.page = await context.newPage()
    await tab.page.goto(server.url)
    await tab.connect(options, url)
    return tab
  }

  connect (options, url = '/events/') {
    return this.page.evaluate(async ([url, options]) => {
      const { connect } = await import('/index.js')
      const client = connect(url, { channels: ['a'], identity: 'ann', ...options })
      const statuses = [client.status]
      const seen = []
      client.on('*', ({ event, text }) => seen.push(event === 'message' ? Number(text) : event))
      client.subscribe(() => statuses.push(client.status))
      Object.assign(globalThis, { client, seen, statuses })
    }, [url, options])
  }

  seen () {
    return this.page.evaluate(() => globalThis.seen)
  }

  statuses () {
    return this.page.evaluate(() => globalThis.statuses)
  }

  get (name) {
    return this.page.evaluate(name => globalThis.client[name], name)
  }

  status (wanted, options) {
    return until(`the tab is ${wanted}`, async () => await this.get('status') === wanted, options)
  }

  cdp () {
    return this.page.context().newCDPSession(this.page)
  }

  /** Stops all that it does, as a browser does that saves energy, which freezes no page that is seen: here by the debugger. */
  async freeze () {
    this.session = await this.cdp()
    await this.session.send('Debugger.enable')
    const paused = new Promise(resolve => this.session.once('Debugger.paused', resolve))
    await this.session.send('Debugger.pause')
    await paused
  }

  async thaw () {
    await this.session.send('Debugger.resume')
    await this.session.detach()
  }
}

/** Waits until one of the tabs leads. */
export function leaderOf (tabs) {
  return until('a leader', async () => {
    const leads = await Promise.all(tabs.map(tab => tab.get('leader')))
    return tabs[leads.indexOf(true)]
  })
}

/** Publishes numbers from 0, until it is stopped, which gives how many there were. */
export function publishing (server, everyMs = 20) {
  let n = 0
  const timer = setInterval(() => server.publish(String(n++)), everyMs)
  return {
    get count () { return n },
    stop () {
      clearInterval(timer)
      return n
    }
  }
}

/** All numbers to `count`, each once and in order. */
export function numbersTo (count) {
  return Array.from({ length: count }, (_, n) => n)
}
