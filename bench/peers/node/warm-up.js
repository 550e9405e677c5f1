// Short requests to a subject, before it is measured: `node warm-up.js PORT`.
import http from 'node:http'

const REQUESTS = 6_000
const AT_ONCE = 256

let begun = 0
const next = () => {
  if (begun++ >= REQUESTS) return
  http.get({ host: '127.0.0.1', port: Number(process.argv[2]), path: '/', agent: false }, response => {
    response.resume().on('end', next)
  })
}
for (let n = 0; n < AT_ONCE; n++) next()
