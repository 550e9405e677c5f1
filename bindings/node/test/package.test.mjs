// The package itself: what is in it, what it is built from, its types, and that it can be installed.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const here = fileURLToPath(new URL('.', import.meta.url))
const require = createRequire(import.meta.url)

test('it holds what users need, and nothing else', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root })
  const [{ files }] = JSON.parse(stdout)
  const paths = files.map(({ path }) => path)
  for (const path of ['package.json', 'README.md', 'evstream.node', 'dist/index.js', 'dist/index.mjs', 'dist/index.d.ts', 'dist/index.d.mts',
    'dist/express-eventstream.js', 'dist/express-eventstream.mjs', 'dist/express-eventstream.d.ts', 'dist/express-eventstream.d.mts']) {
    assert.ok(paths.includes(path), `${path} is missing`)
  }
  const strange = paths.filter(path => !/^(package\.json|README\.md|evstream\.node|dist\/[\w/-]+\.(js|mjs|d\.ts|d\.mts))$/.test(path))
  assert.deepEqual(strange, [])
})

test('its tarball runs in another project, where there is no Rust', { timeout: 60_000 }, async t => {
  const folder = temporary(t)
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root })
  const [{ filename }] = JSON.parse(stdout)
  await runsIn(await project(t, [join(folder, filename)]))
})

describe('as it is published', () => {
  let folder
  let tarballs
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'evstream-'))
    const { stdout } = await run(process.execPath, [join(root, 'scripts', 'pack.mjs'), folder])
    tarballs = stdout.trim().split('\n')
  })
  after(() => { rmSync(folder, { recursive: true }) })

  test('it comes with the library of the platform', { timeout: 60_000 }, async t => {
    const { platformPackage } = require(join(root, 'dist', 'platform.js'))
    const at = await project(t, tarballs)
    await runsIn(at)
    const main = JSON.parse(readFileSync(join(at, 'node_modules', 'evstream', 'package.json'), 'utf8'))
    const platform = JSON.parse(readFileSync(join(at, 'node_modules', platformPackage(), 'package.json'), 'utf8'))
    assert.equal(main.optionalDependencies[platform.name], platform.version)
    assert.equal(main.scripts, undefined)
    assert.deepEqual([platform.os, platform.cpu], [[process.platform], [process.arch]])
    for (const [name, files] of [['evstream', ['dist']], [platform.name, ['evstream.node']]]) {
      assert.deepEqual(readdirSync(join(at, 'node_modules', name)).sort(), ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', ...files, 'package.json'].sort())
    }
  })

  test('it says what to do where that library is missing', { timeout: 60_000 }, async t => {
    const at = await project(t, tarballs.filter(path => !/linux|darwin/.test(path)))
    await assert.rejects(run(process.execPath, ['--eval', "require('evstream')"], { cwd: at }), ({ stderr }) => {
      assert.match(stderr, new RegExp(`Error: evstream cannot load its native library.*@evstream/${process.platform}-${process.arch}.*npm install`))
      return true
    })
  })
})

/** An empty project with these tarballs installed, which it has without the network. */
async function project (t, tarballs) {
  const folder = temporary(t)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  await run('npm', ['install', '--no-audit', '--no-fund', '--offline', ...tarballs], { cwd: folder })
  return folder
}

/** A program of each kind publishes, with an empty PATH. */
async function runsIn (folder) {
  const publish = "new Events().publish('a', { data: 1 }).then(({ position }) => console.log(typeof position))"
  for (const [type, code] of [['module', `import { Events } from 'evstream'; ${publish}`], ['commonjs', `const { Events } = require('evstream'); ${publish}`]]) {
    const ran = await run(process.execPath, [`--input-type=${type}`, '--eval', code], { cwd: folder, env: { PATH: '' } })
    assert.equal(ran.stdout, 'string\n')
  }
}

function temporary (t) {
  const folder = mkdtempSync(join(tmpdir(), 'evstream-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('the types of the settings are those of the core', () => {
  const { settings } = require(join(root, 'evstream.node'))
  const declared = readFileSync(join(root, 'dist', 'options.d.ts'), 'utf8')
  assert.deepEqual([...declared.matchAll(/^ {4}(\w+)\?:/gm)].map(match => match[1]), settings().map(({ name }) => name))
  assert.match(declared, /Default: 20_?000\. From 0 to 3600000\. \*\/\n {4}keepAliveMs\?: number;/)
})

test('the native half exports what is declared of it', async () => {
  const native = require(join(root, 'evstream.node'))
  const declared = readFileSync(join(root, 'src', 'native.ts'), 'utf8')
  for (const name of ['NativeEvents', 'NativeStream', 'NativePull', 'NativeSubscription', 'NativeServer', 'NativeTicket']) {
    const body = new RegExp(`interface ${name} \\{(.*?)\\n\\}`, 's').exec(declared)[1]
    const methods = [...body.matchAll(/^ {2}(\w+)\(/gm)].map(match => match[1]).sort()
    const exported = Object.getOwnPropertyNames(native[name].prototype).filter(method => method !== 'constructor').sort()
    assert.deepEqual(exported, methods, name)
  }
})

test('every function of the native half catches panics', async () => {
  for (const file of readdirSync(join(root, 'native'))) {
    const code = readFileSync(join(root, 'native', file), 'utf8')
    for (const [attribute] of code.matchAll(/#\[napi[^\]]*\]\s*(?:pub fn|#\[)/g)) assert.match(attribute, /catch_unwind/, `${file}: ${attribute}`)
  }
})

test('the types fit, and refuse what they should', { timeout: 300_000 }, async () => {
  const tsc = join(here, 'node_modules', 'typescript', 'bin', 'tsc')
  await run(process.execPath, [tsc, '-p', join(here, 'types')]).catch(({ stdout }) => assert.fail(stdout))
})
