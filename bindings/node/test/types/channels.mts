// What the types allow, and what they do not.
import { Events, EvstreamError, Forbidden, type Decision, type Message, type Receipt } from 'evstream'

interface Payloads {
  messages: { text: string }
  clock: { value: string }
  [room: `room-${string}`]: { from: string }
}

const events = new Events<Payloads>({ keepAliveMs: 15_000, slowClient: 'close', grip: process.env['GRIP_URL'] })

const receipt: Receipt = await events.publish('messages', { event: 'message', data: { text: 'hi' } })
void [receipt.proxies[0]?.error?.code, receipt.localOnly === true]
await events.publish('room-1', { data: { from: 'bob' } })
await events.publish('clock', { text: 'raw' })
// @ts-expect-error the data of another channel
await events.publish('clock', { data: { text: 'hi' } })
// @ts-expect-error no such channel
await events.publish('clocks', { data: { value: '' } })
// @ts-expect-error data or text, not both
await events.publish('clock', { data: { value: '' }, text: '' })
// @ts-expect-error no data
await events.publish('clock', { event: 'x' })
// @ts-expect-error milliseconds are a number
await events.publish('clock', { text: '', retryMs: '5' })

events.channel('clock').write({ data: { value: '' } })
// @ts-expect-error no such channel
events.channel('x')

for await (const message of events.subscribe(['messages', 'clock'], { signal: AbortSignal.timeout(1) })) {
  if (message.type === 'reset') {
    const lost: string[] = message.channels
    void lost
  } else if (message.channel === 'messages') {
    const text: string = message.data.text
    void text
    // @ts-expect-error of the other channel
    void message.data.value
  } else {
    const value: string = message.data.value
    void value
  }
}

const untyped = new Events()
await untyped.publish('anything', { data: 5 })
const message = (await untyped.subscribe('anything').next()).value as Message
void message

// @ts-expect-error no such setting
new Events({ keepAlive: 5 })
// @ts-expect-error not a word that the setting takes
new Events({ slowClient: 'drop' })
// @ts-expect-error not a number
new Events({ keepAliveMs: '5' })

events.on('close', ({ channels, reason, user }) => { void [channels.length, reason === 'client', user?.length] })
// @ts-expect-error no such event
events.on('closed', () => {})

const { ended, undelivered } = await events.close({ timeoutMs: 1_000 })
void [ended === true, undelivered.toFixed(), events.position().length, events.stats().unheardErrors.toFixed()]
// @ts-expect-error no such option
await events.close({ timeout: 1_000 })
// @ts-expect-error milliseconds are a number
await events.close({ timeoutMs: '1000' })

const decide = async (): Promise<Decision> => { throw new Forbidden('no') }
void decide
const error = new EvstreamError('closed', 'text')
// @ts-expect-error no such code
void (error.code === 'close')
