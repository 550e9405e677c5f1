// What `connect` takes, and that it is told where it is given anything else.

const KINDS = {
  channels: 'object',
  headers: 'object',
  fetch: 'function',
  token: 'function',
  credentials: 'string',
  identity: 'string',
  since: 'string',
  maxLength: 'number',
  silentMs: 'number',
  share: 'boolean'
}

/** The options with their defaults, and the `url` with the channels. */
export function checked (url, options) {
  const settings = {
    share: true,
    since: '',
    fetch,
    silentMs: 50_000, // 2.5 keep-alives
    maxLength: 2_097_152 // twice the default of max_event_bytes
  }
  for (const name in options) {
    const value = options[name]
    const kind = KINDS[name]
    must(kind, `no option ${name}, only ${Object.keys(KINDS)}`)
    if (value === undefined) continue
    must(typeof value === kind && !(value < 0 || value !== value), `${name} must be a ${kind}`) // eslint-disable-line no-self-compare
    settings[name] = value
  }
  // Which throws itself for what cannot be requested.
  const address = new URL(new Request(url, { headers: settings.headers, credentials: settings.credentials }).url)
  must(/^http/.test(address.protocol), `${url} is no http(s) URL`)
  const { channels } = settings
  must(!channels || (channels[0] && channels.every(name => name?.trim())), 'channels must be names')
  channels?.forEach(name => { address.searchParams.append('channel', name) })
  settings.url = address.href
  return settings
}

function must (isGood, what) {
  if (!isGood) throw TypeError(`connect: ${what}`)
}
