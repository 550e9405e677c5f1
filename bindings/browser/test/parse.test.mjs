// The parser reads as WHATWG HTML 9.2.6 says, however the text is cut.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parser } from '../src/parse.js'

const { cases } = JSON.parse(readFileSync(new URL('../../../tests/vectors/decode.json', import.meta.url), 'utf8'))

for (const { name, chunks, expected } of cases) {
  test(`vector: ${name}`, () => { assert.deepEqual(read(chunks.map(chunk => Buffer.from(chunk))), expected) })
}

test('any cut of the bytes reads the same', () => {
  const random = randomOf(7)
  for (const { name, chunks, expected } of cases) {
    const bytes = Buffer.from(chunks.join(''))
    assert.deepEqual(read([...bytes].map(byte => Buffer.of(byte))), expected, `${name}, byte by byte`)
    for (let round = 0; round < 50; round++) assert.deepEqual(read(cut(bytes, random)), expected, name)
  }
})

test('random streams read as a plain reading of the standard has it', () => {
  const random = randomOf(11)
  const words = ['data', 'data:', 'data: ', 'event:', 'id:', 'id: ', 'retry:', 'retry: 5', ':', ' ', 'x', 'ü', '😀', '\0', '\r', '\n', '\r\n', '\n\n', '\r\r', '\uFEFF']
  for (let round = 0; round < 3_000; round++) {
    const text = Array.from({ length: random(30) }, () => words[random(words.length)]).join('')
    assert.deepEqual(read(cut(Buffer.from(text), random)), plain(text), JSON.stringify(text))
  }
})

test('an event of more characters than are allowed is refused before it is held, comments do not count', () => {
  const feed = parser(() => {}, () => {}, '', 1_000)
  for (let n = 0; n < 100; n++) feed(`: ${'x'.repeat(500)}\n`)
  for (let n = 0; n < 10; n++) feed(`data: ${'x'.repeat(900)}\n\n`)
  assert.throws(() => { feed('data: '); for (;;) feed('x'.repeat(100)) }, RangeError)
  const lines = parser(() => {}, () => {}, '', 1_000)
  assert.throws(() => { for (;;) lines(`data: ${'x'.repeat(100)}\n`) }, RangeError)
})

test('the id of the connection before stays until another comes', () => {
  const blocks = []
  parser((...block) => blocks.push(block), () => {}, '7', Infinity)('data: a\n\nid: 8\n\ndata: b\n\n')
  assert.deepEqual(blocks, [['message', 'a', '7'], ['message', undefined, '8'], ['message', 'b', '8']])
})

function read (chunks) {
  const events = []
  let lastEventId = ''
  let retryMs = null
  const feed = parser((name, data, id) => {
    lastEventId = id
    if (data !== undefined) events.push({ name, data, id })
  }, ms => { retryMs = ms }, '', Infinity)
  const decoder = new TextDecoder()
  for (const chunk of chunks) feed(decoder.decode(chunk, { stream: true }))
  return { events, last_event_id: lastEventId, retry_ms: retryMs }
}

/** The whole text at once, in the words of the standard. */
function plain (text) {
  const result = { events: [], last_event_id: '', retry_ms: null }
  let [data, name, id] = ['', '', '']
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/)
  lines.pop() // has no end
  for (const line of lines) {
    if (line === '') {
      result.last_event_id = id
      if (data !== '') result.events.push({ name: name || 'message', data: data.slice(0, -1), id })
      ;[data, name] = ['', '']
      continue
    }
    const at = line.indexOf(':')
    const field = at < 0 ? line : line.slice(0, at)
    let value = at < 0 ? '' : line.slice(at + 1)
    if (value.startsWith(' ')) value = value.slice(1)
    if (field === 'data') data += `${value}\n`
    if (field === 'event') name = value
    if (field === 'id' && !value.includes('\0')) id = value
    if (field === 'retry' && /^[0-9]+$/.test(value)) result.retry_ms = Number(value)
  }
  return result
}

function cut (bytes, random) {
  const chunks = []
  for (let from = 0; from < bytes.length;) chunks.push(bytes.subarray(from, from += 1 + random(9)))
  return chunks
}

/** Numbers below a bound, the same in each run. */
function randomOf (seed) {
  return below => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return Math.floor(seed / 2 ** 32 * below)
  }
}
