// Applications that are bundled or traced, with the package as it is published, and run where neither the project nor its
// node_modules are left.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from './support/pushpin.mjs'
import { packInto, project, run, temporary } from './support/packed.mjs'

const tools = fileURLToPath(new URL('bundlers', import.meta.url))
const require = createRequire(join(tools, 'package.json'))

let packed
let tarballs
before(async () => {
  packed = mkdtempSync(join(tmpdir(), 'evstream-'))
  tarballs = await packInto(packed)
})
after(() => { rmSync(packed, { recursive: true }) })

const bundlers = {
  esbuild: (from, to) => require('esbuild').build({
    entryPoints: [join(from, 'main.js')], outdir: to, bundle: true, platform: 'node', loader: { '.node': 'copy' }, logLevel: 'silent'
  }),
  webpack: (from, to) => promisify(require('webpack'))({
    context: from,
    entry: './main.js',
    target: 'node',
    mode: 'production',
    output: { path: to },
    module: { rules: [{ test: /\.node$/, loader: require.resolve('node-loader') }] }
  }),
  ncc: (from, to) => run(process.execPath, [require.resolve('@vercel/ncc/dist/ncc/cli.js'), 'build', join(from, 'main.js'), '--out', to])
}

for (const [name, bundle] of Object.entries(bundlers)) {
  test(`${name} takes the library along`, { timeout: 120_000 }, async t => {
    const from = await project(t, tarballs)
    writeFileSync(join(from, 'main.js'), `
      const { Events } = require('evstream')
      const events = new Events({ logger: false })
      events.publish('a', { data: 1 }).then(({ position }) => { console.log(typeof position); return events.close() })`)
    await bundle(from, join(from, 'out'))
    const { stdout } = await run(process.execPath, [join(moved(t, from, 'out'), `${name === 'ncc' ? 'index' : 'main'}.js`)])
    assert.equal(stdout, 'string\n')
  })
}

test('Next.js takes the library into a standalone build, which stops when it is told to', { timeout: 300_000 }, async t => {
  const from = temporary(t)
  cpSync(tools, from, { recursive: true })
  await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--offline', ...tarballs], { cwd: from })
  write(from, 'next.config.mjs', "export default { output: 'standalone', serverExternalPackages: ['evstream'] }\n")
  write(from, 'app/layout.js', 'export default ({ children }) => <html><body>{children}</body></html>\n')
  write(from, 'app/page.js', 'export default () => <p>hello</p>\n')
  for (const [path, text] of ofReadme()) write(from, path, text)
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' }
  await run(process.execPath, [join(from, 'node_modules/next/dist/bin/next'), 'build'], { cwd: from, env })
  const to = moved(t, from, '.next/standalone')
  const port = await freePort()
  const server = spawn(process.execPath, [join(to, 'server.js')], { env: { ...env, PORT: String(port), HOSTNAME: '127.0.0.1' }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => server.kill('SIGKILL'))
  for await (const chunk of server.stdout) if (String(chunk).includes('Ready')) break
  const exited = once(server, 'exit')
  const response = await fetch(`http://127.0.0.1:${port}/events?channel=news-de`)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  assert.match((await reader.read()).value, /^event: stream-open$/m)
  server.kill('SIGTERM')
  assert.match((await reader.read()).value, /^event: stream-close$/m)
  await exited
})

/** What the README says for Next.js: paths and texts. */
function ofReadme () {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  return [...readme.matchAll(/^\/\/ ((?:lib|app)\/[\w/]+\.js).*?(?=^\/\/ app|^```)/gms)].map(([text, path]) => [path, text])
}

/** Moves what was built elsewhere, and removes the project it was built in. */
function moved (t, from, built) {
  const to = join(temporary(t), 'app')
  renameSync(join(from, built), to)
  rmSync(from, { recursive: true })
  return to
}

function write (folder, path, text) {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}
