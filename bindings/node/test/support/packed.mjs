// The package as it is published, packed once a process, and projects that have it installed.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export const run = promisify(execFile)
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** Packs into a folder; gives the tarballs of `evstream` and of the package for this platform. */
export async function packInto (folder) {
  const { stdout } = await run(process.execPath, [join(root, 'scripts', 'pack.mjs'), folder])
  return stdout.trim().split('\n')
}

/** An empty project with these tarballs installed, which it has without the network. */
export async function project (t, tarballs) {
  const folder = temporary(t)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  await run('npm', ['install', '--no-audit', '--no-fund', '--offline', ...tarballs], { cwd: folder })
  return folder
}

/** A folder that goes when the test ends. */
export function temporary (t) {
  const folder = mkdtempSync(join(tmpdir(), 'evstream-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
