// The page of a room. It remembers the last position it has seen, so that a reload shows what was said meanwhile.

const query = new URLSearchParams(location.search)
const room = query.get('room') ?? 'lobby'
const user = query.get('user') ?? `guest-${Math.floor(Math.random() * 1_000)}`
const element = id => document.getElementById(id)
const positionKey = `position of ${room}`
const saidKey = `said in ${room}`

element('room').textContent = room
for (const message of JSON.parse(sessionStorage.getItem(saidKey) ?? '[]')) show(message)

const address = new URL(`/rooms/${encodeURIComponent(room)}/events`, location.href)
address.searchParams.set('user', user)
const position = sessionStorage.getItem(positionKey)
if (position) address.searchParams.set('lastEventId', position)
const source = new EventSource(address)
source.onopen = () => { element('status').textContent = 'connected' }
source.onerror = () => { element('status').textContent = 'coming back' }

on('stream-open')
on('said', message => {
  show(message)
  const said = [...JSON.parse(sessionStorage.getItem(saidKey) ?? '[]'), message].slice(-200)
  sessionStorage.setItem(saidKey, JSON.stringify(said))
})
on('here', ({ users }) => { element('here').textContent = users.join(', ') })
on('stream-reset', () => { element('status').textContent = 'connected; something was missed' })
source.addEventListener('stream-error', event => {
  source.close()
  element('status').textContent = JSON.parse(event.data).text
})

// What is published while a client connects may come before it has listened for it.
fetch(`/rooms/${encodeURIComponent(room)}/here`).then(response => response.json())
  .then(({ users }) => { element('here').textContent = users.join(', ') || 'nobody' })

element('say').addEventListener('submit', async event => {
  event.preventDefault()
  const { text } = event.target.elements
  const body = JSON.stringify({ user, text: text.value })
  text.value = ''
  await fetch(`/rooms/${encodeURIComponent(room)}/messages`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
})

function on (name, use) {
  source.addEventListener(name, event => {
    if (event.lastEventId) sessionStorage.setItem(positionKey, event.lastEventId)
    use?.(JSON.parse(event.data))
  })
}

function show ({ user, text }) {
  const item = document.createElement('li')
  const name = document.createElement('b')
  name.textContent = user
  item.append(name, text)
  element('said').append(item)
}
