// The page of the chat: one stream for the room that is open, and forms that post.

const element = id => document.getElementById(id)
const status = text => { element('status').textContent = text }
let source
let room

element('enter').addEventListener('submit', async submit => {
  submit.preventDefault()
  const { name, room: wanted, join } = submit.target.elements
  try {
    await post('session', { name: name.value })
    if (join.checked) await post(`rooms/${wanted.value}/members`)
    open(wanted.value)
  } catch (error) {
    status(error.message)
  }
})

element('say').addEventListener('submit', async submit => {
  submit.preventDefault()
  const { text } = submit.target.elements
  try {
    await post(`rooms/${room}/messages`, { text: text.value })
    text.value = ''
  } catch (error) {
    status(error.message)
  }
})

function open (wanted) {
  source?.close()
  element('messages').replaceChildren()
  room = wanted
  source = new EventSource(`rooms/${room}/events`)
  source.addEventListener('stream-open', () => {
    status(`In ${room}`)
    element('say').hidden = false
  })
  source.addEventListener('said', event => show('said', JSON.parse(event.data)))
  source.addEventListener('joined', event => show('joined', { ...JSON.parse(event.data), text: 'has joined' }))
  source.addEventListener('stream-reset', () => show('joined', { name: '', text: 'Some messages could not be kept.' }))
  source.addEventListener('stream-error', event => {
    status(JSON.parse(event.data).text)
    element('say').hidden = true
    source.close()
  })
  // The browser comes back by itself, with the position of the last event it has seen.
  source.addEventListener('error', () => { if (source.readyState === EventSource.CONNECTING) status('Connecting again') })
}

function show (kind, { name, text }) {
  const row = document.createElement('li')
  const who = document.createElement('b')
  row.className = kind
  who.textContent = name
  row.append(who, text)
  element('messages').append(row)
  row.scrollIntoView({ block: 'nearest' })
}

async function post (path, body = {}) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body)
  })
  if (response.ok) return
  const { detail } = await response.json().catch(() => ({}))
  throw new Error(typeof detail === 'string' ? detail : `the server answered ${response.status}`)
}
