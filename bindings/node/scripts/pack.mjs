// Packs what is published to npm, from what `node scripts/build.mjs dist` has built: `node scripts/pack.mjs [FOLDER]`.
//
// Two tarballs come into FOLDER, the current one by default: a package with the library for the platform that this runs
// on, and `evstream` without a library, which names the packages of all platforms as optional dependencies. npm installs
// the one that fits. Run it on each platform; `evstream` itself is the same wherever it is packed.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const PLATFORMS = ['darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-arm64-musl', 'linux-x64', 'linux-x64-musl']

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const { version, license, repository, engines } = manifest
const packages = PLATFORMS.map(platform => `@evstream/${platform}`)

const { header } = process.report.getReport()
const libc = process.platform !== 'linux' ? undefined : header.glibcVersionRuntime ? 'glibc' : 'musl'
const name = `@evstream/${process.platform}-${process.arch}${libc === 'musl' ? '-musl' : ''}`
if (!packages.includes(name)) throw new Error(`there is no ${name}; there are ${packages.join(', ')}`)
const folder = resolve(process.argv[2] ?? '.')
mkdirSync(folder, { recursive: true })

pack('evstream.node', {
  name,
  version,
  description: `The native library of evstream for ${name.split('/')[1]}`,
  license,
  repository,
  main: 'evstream.node',
  engines,
  os: [process.platform],
  cpu: [process.arch],
  ...(libc && { libc: [libc] })
})
const { devDependencies, scripts, ...published } = manifest
pack('dist', {
  ...published,
  optionalDependencies: Object.fromEntries(packages.map(name => [name, version]))
})

/** Packs a file or folder of ours, and what comes with every package. */
function pack (content, manifest) {
  const files = [content, 'README.md', '../../LICENSE-APACHE', '../../LICENSE-MIT']
  const staged = mkdtempSync(join(tmpdir(), 'evstream-'))
  try {
    for (const path of files) cpSync(join(root, path), join(staged, basename(path)), { recursive: true })
    writeFileSync(join(staged, 'package.json'), JSON.stringify({ ...manifest, files: files.map(path => basename(path)) }, null, 2))
    const out = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], { cwd: staged, encoding: 'utf8' })
    console.log(join(folder, out.trim()))
  } finally {
    rmSync(staged, { recursive: true })
  }
}
