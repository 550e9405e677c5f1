// WORKERS processes (default 4) on one port, by node:cluster. One that ends unasked is replaced.
const cluster = require('node:cluster')
const { once } = require('node:events')
const { join } = require('node:path')

cluster.setupPrimary({ exec: join(__dirname, 'server.js') })
const ready = new WeakSet()
let stopping = false

cluster.on('listening', worker => { ready.add(worker) })
cluster.on('exit', worker => {
  if (stopping) return
  // Another would fail in the same way as one that could not start.
  if (ready.has(worker)) cluster.fork()
  else { process.exitCode = 1; stop() }
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)

const workers = Array.from({ length: Number(process.env.WORKERS || 4) }, () => cluster.fork())
Promise.all(workers.map(worker => once(worker, 'listening'))).then(([[{ port }]]) => {
  console.log(`Listening on http://127.0.0.1:${port}/`)
})

// This process ends with the last of them.
function stop () {
  stopping = true
  for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGTERM')
}
