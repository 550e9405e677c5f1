// Builds the package from source: the native half with cargo, the TypeScript half with tsc. An argument is a profile of
// cargo; `dist` is what is published.
//
// Needs nothing but cargo, node and npm; no build tool is installed where the package is only used.
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

buildNative()
await import('./options.mjs')
buildTypeScript()
reExport('index')
reExport('express-eventstream')
reExport('prom-client')

/** Cargo tells where the library is, so that CARGO_TARGET_DIR and the like work. */
function buildNative () {
  // What it exports, as the macros of napi see it while they compile; a test compares that with src/native.ts.
  const declared = join(root, 'declared')
  if (!existsSync(join(declared, 'evstream-node'))) utimesSync(join(root, 'native', 'lib.rs'), new Date(), new Date())
  mkdirSync(declared, { recursive: true })
  const { error, status, stdout: messages } = spawnSync(
    'cargo',
    ['build', '--profile', process.argv[2] ?? 'release', '-p', 'evstream-node', '--message-format=json-render-diagnostics'],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 64 * 1024 * 1024, encoding: 'utf8', env: { ...process.env, NAPI_TYPE_DEF_TMP_FOLDER: declared } }
  )
  if (error?.code === 'ENOENT') fail('evstream is built from source here, which needs Rust: install it as https://rustup.rs says')
  if (error) throw error
  if (status !== 0) fail('cargo could not build evstream; its messages are above')
  const artifact = messages.split('\n').filter(Boolean).map(line => JSON.parse(line))
    .find(message => message.reason === 'compiler-artifact' && message.target.name === 'evstream_node')
  const library = artifact?.filenames.find(name => /\.(so|dylib|dll)$/.test(name))
  if (!library) throw new Error('cargo has built no library')
  // A process that has loaded the old one keeps it.
  copyFileSync(library, join(root, 'evstream.node.tmp'))
  renameSync(join(root, 'evstream.node.tmp'), join(root, 'evstream.node'))
}

function fail (reason) {
  console.error(reason)
  process.exit(1)
}

function buildTypeScript () {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  if (!existsSync(tsc)) {
    // npm installs no development dependencies of a folder that another project depends on.
    execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: root, stdio: 'inherit' })
  }
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  execFileSync(process.execPath, [tsc, '-p', root], { cwd: root, stdio: 'inherit' })
}

/** ES modules get the very same classes: two copies would break `instanceof`. Node finds the names that tsc writes. */
function reExport (name) {
  const dist = join(root, 'dist')
  writeFileSync(join(dist, `${name}.mjs`), `import cjs from './${name}.js'\n\nexport * from './${name}.js'\nexport default cjs\n`)
  writeFileSync(join(dist, `${name}.d.mts`), `import * as all from './${name}.js'\n\nexport * from './${name}.js'\nexport default all\n`)
}
