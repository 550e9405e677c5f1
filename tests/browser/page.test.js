// The page by itself: what it shows, and that nothing it is sent can harm it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { useBrowser } from './support/browser.js'
import { startDemo } from './support/demo.js'
import { until } from './support/until.js'

const browser = useBrowser()

test('opens one stream and shows the clock', async t => {
  const demo = await startDemo(t)
  const blank = await browser.blank(t)
  const requests = []
  const problems = []
  blank.on('request', request => requests.push(request.url()))
  blank.on('pageerror', problem => problems.push(String(problem)))
  blank.on('console', message => { if (message.type() === 'error') problems.push(message.text()) })
  const page = await browser.open(t, demo.url, {}, blank)

  await page.open()
  const ticks = await until('three ticks', async () => {
    const rows = await page.events('time')
    return rows.length >= 3 && rows
  })
  const [opened, ...others] = await page.connection()
  assert.equal(opened.kind, 'open')
  assert.match(opened.text, /^Reading clock, messages from position \S+$/)
  assert.deepEqual(others, [])

  const times = ticks.map(tick => Date.parse(tick.text))
  assert.ok(times.every((time, n) => n === 0 || time > times[n - 1]), `ticks go forward: ${times}`)
  assert.equal(new Set(ticks.map(tick => tick.position)).size, ticks.length, 'each event has its own position')
  assert.match(await page.text('clock'), /^\d\d:\d\d:\d\d$/)
  assert.ok(await page.count('event') >= 3)
  assert.notEqual(await page.text('position'), opened.text.split(' ').at(-1))

  assert.equal(requests.filter(url => url.includes('/events/')).length, 1)
  assert.deepEqual(requests.filter(url => !url.startsWith(demo.url) && !url.startsWith('data:')), [], 'no outside requests')
  assert.deepEqual(problems, [])
})

test('a posted message arrives here and in a second page', async t => {
  const demo = await startDemo(t)
  const [one, two] = await Promise.all([browser.open(t, demo.url), browser.open(t, demo.url)])
  await Promise.all([one.open(), two.open()])

  await one.send('hello from one')
  await Promise.all([one.message('hello from one'), two.message('hello from one')])
  await until('the form says so', async () => await one.text('sent') === 'Sent')
  assert.equal(await one.page.inputValue('#text'), '')
  await two.send('hello from two')
  await Promise.all([one.message('hello from two'), two.message('hello from two')])

  assert.deepEqual(await one.events('message'), await two.events('message'))
})

test('a message is shown as text, never as markup', async t => {
  const demo = await startDemo(t)
  const page = await browser.open(t, demo.url)
  await page.open()
  const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>"'&amp;\u2028`
  await page.send(hostile)
  await page.message(hostile)
  await demo.post('two\nlines, ünïcødé and 🦀')
  await page.message('two\nlines, ünïcødé and 🦀')
  assert.equal(await page.page.locator('#events :is(img, script)').count(), 0)
  assert.doesNotMatch(await page.page.title(), /owned/)
})

test('a message that is not taken stays in the form, with the reason', async t => {
  const demo = await startDemo(t)
  const page = await browser.open(t, demo.url)
  const answers = [
    [route => route.abort(), 'Not sent: the server cannot be reached'],
    [route => route.fulfill({ status: 413, json: { error: 'the text is too long' } }), 'Not sent: the text is too long'],
    [route => route.fulfill({ status: 502, body: '<h1>Bad Gateway</h1>' }), 'Not sent: the server answered 502']
  ]
  for (const [answer, told] of answers) {
    await page.page.route('**/messages/', answer, { times: 1 })
    await page.send('keep me')
    await until(told, async () => await page.text('sent') === told)
    assert.equal(await page.page.inputValue('#text'), 'keep me')
  }
  await page.page.click('#compose button')
  await page.message('keep me')
})

test('the server says what is wrong with a message, and publishes nothing', async t => {
  const demo = await startDemo(t)
  const page = await browser.open(t, demo.url)
  await page.open()
  for (const body of ['', 'no json', '[]', '{}', '{"text":5}', '{"text":null}', '{"text":""}']) {
    const response = await demo.request(body)
    assert.ok(response.status >= 400 && response.status < 500, `${body} is answered ${response.status}`)
    const { error } = await response.json()
    assert.ok(typeof error === 'string' && error.length > 0, `${body} is told why`)
  }
  await demo.post('the first')
  await page.message('the first')
  assert.deepEqual(await page.messages(), ['the first'])
})

test('copes with what it does not know, and counts keep-alives', async t => {
  const demo = await startDemo(t)
  const blank = await browser.blank(t)
  const problems = []
  blank.on('pageerror', problem => problems.push(String(problem)))
  const sent = [
    'event: stream-open\nid: e-1\ndata: not json\n\n',
    'event: keep-alive\ndata:\n\n',
    'event: keep-alive\ndata:\n\n',
    'event: stream-reset\nid: e-2\ndata: {"channels":7,"reason":"weather"}\n\n',
    'event: time\nid: e-3\ndata: null\n\n',
    'event: message\nid: e-4\ndata: {"text":{"not":"text"}}\n\n',
    'event: later\nid: e-5\ndata: {}\n\n'
  ].join('')
  await blank.route('**/events/**', route => route.fulfill({ contentType: 'text/event-stream', body: sent }), { times: 1 })
  const page = await browser.open(t, demo.url, {}, blank)

  const reset = await page.connectionRow('reset')
  assert.equal(reset.name, 'Reset: weather')
  await until('both events', async () => await page.count('event') === 2)
  assert.deepEqual((await page.events()).map(row => row.text), ['null', '{"text":{"not":"text"}}'])
  assert.equal(await page.count('keep-alive'), 2)
  assert.deepEqual(problems, [])
})

test('a log keeps the newest rows of each kind', async t => {
  const demo = await startDemo(t)
  const page = await browser.open(t, demo.url)
  const kept = await page.page.evaluate(async () => {
    const { Log } = await import('/log.js')
    const list = document.createElement('ol')
    const log = new Log(list, document.getElementById('event-row'), { limit: 3 })
    log.add('rare', { text: 'r1' })
    for (let n = 1; n <= 10; n++) log.add('busy', { text: `b${n}` })
    return [...list.querySelectorAll('.text')].map(text => text.textContent)
  })
  assert.deepEqual(kept, ['b10', 'b9', 'b8', 'r1'])
})

test('clock events can be hidden', async t => {
  const demo = await startDemo(t)
  const page = await browser.open(t, demo.url)
  const tick = page.page.locator('#events [data-kind=time]').first()
  await tick.waitFor()
  await page.page.uncheck('#show-time')
  await tick.waitFor({ state: 'hidden' })
})
