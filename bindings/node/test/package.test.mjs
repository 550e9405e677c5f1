// The package itself: what is in it, what it is built from, its types, and that it can be installed.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { declared } from './support/declared.mjs'
import { packInto, project, root, run, temporary } from './support/packed.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const require = createRequire(import.meta.url)

test('it holds what users need, and nothing else', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root })
  const [{ files }] = JSON.parse(stdout)
  const paths = files.map(({ path }) => path)
  for (const path of ['package.json', 'README.md', 'evstream.node', 'dist/index.js', 'dist/index.mjs', 'dist/index.d.ts', 'dist/index.d.mts',
    'dist/express-eventstream.js', 'dist/express-eventstream.mjs', 'dist/express-eventstream.d.ts', 'dist/express-eventstream.d.mts',
    'dist/prom-client.js', 'dist/prom-client.mjs', 'dist/prom-client.d.ts', 'dist/prom-client.d.mts']) {
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

test('building it without Rust says what is missing, in one sentence', async () => {
  await assert.rejects(run(process.execPath, [join(root, 'scripts', 'build.mjs')], { env: { PATH: '' } }), ({ stderr }) => {
    assert.equal(stderr, 'evstream is built from source here, which needs Rust: install it as https://rustup.rs says\n')
    return true
  })
})

describe('as it is published', () => {
  let folder
  let tarballs
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'evstream-'))
    tarballs = await packInto(folder)
  })
  after(() => { rmSync(folder, { recursive: true }) })

  test('it comes with the library of the platform', { timeout: 60_000 }, async t => {
    const at = await project(t, tarballs)
    await runsIn(at)
    const main = JSON.parse(readFileSync(join(at, 'node_modules', 'evstream', 'package.json'), 'utf8'))
    const platform = JSON.parse(readFileSync(join(at, 'node_modules', platformOf(tarballs), 'package.json'), 'utf8'))
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

/** The package of the platform that these were packed on. */
function platformOf (tarballs) {
  return tarballs.map(path => /evstream-((?:linux|darwin)-\w+?(?:-musl)?)-\d/.exec(path)?.[1]).filter(Boolean).map(name => `@evstream/${name}`)[0]
}

/** A program of each kind publishes, with an empty PATH. */
async function runsIn (folder) {
  const publish = "new Events().publish('a', { data: 1 }).then(({ position }) => console.log(typeof position))"
  for (const [type, code] of [['module', `import { Events } from 'evstream'; ${publish}`], ['commonjs', `const { Events } = require('evstream'); ${publish}`]]) {
    const ran = await run(process.execPath, [`--input-type=${type}`, '--eval', code], { cwd: folder, env: { PATH: '' } })
    assert.equal(ran.stdout, 'string\n')
  }
}

test('the types of the settings are those of the core', () => {
  const { settings } = require(join(root, 'evstream.node'))
  const declared = readFileSync(join(root, 'dist', 'options.d.ts'), 'utf8')
  assert.deepEqual([...declared.matchAll(/^ {4}(\w+)\?:/gm)].map(match => match[1]), settings().map(({ name }) => name))
  assert.match(declared, /Default: 20_?000\. From 0 to 3600000\. \*\/\n {4}keepAliveMs\?: number \| undefined;/)
})

test('the native half is what is declared of it', { timeout: 120_000 }, async t => {
  const { names, text } = declared()
  const own = readFileSync(join(root, 'dist', 'native.d.ts'), 'utf8')
  const both = names.filter(name => new RegExp(`^export (interface|type) ${name}\\b`, 'm').test(own))
  // Those are a part of others, under no name of their own, or another, or are asked for by scripts alone.
  assert.deepEqual(names.filter(name => !both.includes(name)),
    ['Fetched', 'Failure', 'LogRecord', 'Ask', 'NativeClosed', 'Setting', 'NativeJournalStats', 'NativeMessages'])
  const folder = mkdtempSync(join(here, 'types-'))
  t.after(() => { rmSync(folder, { recursive: true }) })
  writeFileSync(join(folder, 'native.mts'), `import type { CloseReason } from '../../dist/native.js'\n${text}\n`)
  writeFileSync(join(folder, 'same.mts'), `
    import type * as declared from '../../dist/native.js'
    import type * as native from './native.mjs'
    type Within<A, B> = [A] extends [B] ? [keyof A] extends [keyof B] ? true : false : false
    type Same<A, B> = Within<A, B> & Within<B, A>
    ${both.map(name => `export const ${name}: Same<declared.${name}, native.${name}> = true`).join('\n')}`)
  await check('--noEmit', '--strict', '--target', 'es2022', '--module', 'node16', '--types', 'node', join(folder, 'same.mts'))
})

test('every function of the native half catches panics', async () => {
  for (const file of readdirSync(join(root, 'native'))) {
    const code = readFileSync(join(root, 'native', file), 'utf8')
    for (const [attribute] of code.matchAll(/#\[napi[^\]]*\]\s*(?:pub fn|#\[)/g)) assert.match(attribute, /catch_unwind/, `${file}: ${attribute}`)
  }
})

test('the types fit, and refuse what they should', { timeout: 300_000 }, async () => {
  await check('-p', join(here, 'types'))
  // As older projects have it.
  await check('--noEmit', '--strict', '--target', 'es2022', '--module', 'commonjs', '--moduleResolution', 'node10', '--types', 'node',
    join(here, 'types', 'express-eventstream.cts'))
})

async function check (...options) {
  const tsc = join(here, 'node_modules', 'typescript', 'bin', 'tsc')
  await run(process.execPath, [tsc, ...options]).catch(({ stdout }) => assert.fail(stdout))
}
