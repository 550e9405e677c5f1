// The page: shows what one stream of events tells, and posts messages that come back on it.

import { Log, timeOfDay } from './log.js'
import { Stream } from './stream.js'

const EVENTS_PATH = '/events/'
const MESSAGES_PATH = '/messages/'
const DEFAULT_CHANNELS = ['clock', 'messages']
const EVENT_NAMES = ['time', 'message']
const POST_TIMEOUT_MS = 10_000

const RESET_REASONS = {
  epoch: 'The server has started afresh and does not know the old position. Events may be missing.',
  expired: 'The server no longer holds all events since the old position. Events are missing.',
  overflow: 'Events came faster than this connection took them. Events are missing.'
}

const element = id => document.getElementById(id)
const show = (id, text) => { element(id).textContent = text }

const events = new Log(element('events'), element('event-row'))
const connection = new Log(element('connection'), element('connection-row'))

// `/?channel=clock` reads other channels than the usual two, and `/?channel=` shows what a refused stream looks like.
const asked = new URLSearchParams(location.search).getAll('channel')
const stream = new Stream(EVENTS_PATH, {
  channels: asked.length > 0 ? asked : DEFAULT_CHANNELS,
  names: EVENT_NAMES,
  on: { status: showStatus, open, lost, reset, error, stopped, keepAlive, event }
})

element('connect').addEventListener('click', () => stream.connect())
element('compose').addEventListener('submit', send)
stream.connect()

// What the stream tells

function showStatus (status) {
  show('status', status[0].toUpperCase() + status.slice(1))
  document.documentElement.dataset.status = status
  element('connect').hidden = status !== 'stopped'
}

function open ({ channels, position, again }) {
  if (again) count('reconnect-count')
  const names = channels.join(', ')
  const text = again ? `Reading ${names} again, after position ${position}` : `Reading ${names} from position ${position}`
  connection.add('open', { name: again ? 'Open again' : 'Open', text })
  show('position', position)
}

function lost () {
  connection.add('lost', { name: 'Connection lost', text: 'The browser comes back by itself and asks for what it missed.' })
}

function reset ({ channels, reason, position }) {
  count('reset-count')
  const why = RESET_REASONS[reason] ?? 'Events may be missing.'
  connection.add('reset', { name: `Reset: ${reason}`, text: `${why} Reading ${channels.join(', ')} from position ${position}` })
  show('position', position)
}

function error ({ condition, text }) {
  connection.add('error', { name: `Refused: ${condition}`, text })
}

function stopped () {
  connection.add('stopped', { name: 'Stopped', text: 'The server asked not to come back, and the browser obeys.' })
}

function keepAlive () {
  count('keep-alive-count')
}

function event ({ name, data, position }) {
  count('event-count')
  show('position', position)
  events.add(name, { name, text: textOf(name, data), position })
  if (name === 'time') showClock(new Date(data.time))
}

function textOf (name, data) {
  if (name === 'message' && typeof data.text === 'string') return data.text
  if (name === 'time' && typeof data.time === 'string') return data.time
  return typeof data === 'string' ? data : JSON.stringify(data)
}

function showClock (date) {
  if (Number.isNaN(date.getTime())) return
  show('clock', timeOfDay(date))
  element('clock').dateTime = date.toISOString()
  show('date', date.toLocaleDateString([], { weekday: 'long', year: 'numeric', month: 'long', day: 'numeric' }))
}

function count (id) {
  show(id, Number(element(id).textContent) + 1)
}

// The form

async function send (submit) {
  submit.preventDefault()
  const form = submit.target
  const button = form.querySelector('button')
  button.disabled = true
  showSent('', '')
  try {
    await post(form.elements.text.value)
    form.reset()
    showSent('good', 'Sent')
  } catch (failure) {
    showSent('bad', `Not sent: ${failure.message}`) // the text stays, for another try
  } finally {
    button.disabled = false
    form.elements.text.focus()
  }
}

async function post (text) {
  let response
  try {
    response = await fetch(MESSAGES_PATH, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ text }),
      signal: AbortSignal.timeout(POST_TIMEOUT_MS)
    })
  } catch {
    throw new Error('the server cannot be reached')
  }
  if (response.ok) return
  const answer = await response.json().catch(() => ({}))
  throw new Error(answer?.error ?? `the server answered ${response.status}`)
}

function showSent (mood, text) {
  element('sent').dataset.mood = mood
  show('sent', text)
}
