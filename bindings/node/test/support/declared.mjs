// The types of the native half, as the macros of napi have written them down in the build.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './packed.mjs'

/** Their names, and a module of TypeScript that declares them. */
export function declared () {
  const lines = readFileSync(join(root, 'declared', 'evstream-node'), 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line))
  const types = lines.filter(({ kind }) => kind in write)
  return {
    names: [...new Set(types.map(({ name }) => name))],
    text: types.map(({ kind, name, def }) => write[kind](name, def)).join('\n')
  }
}

const write = {
  interface: (name, def) => `export interface ${name} {\n${def}\n}`,
  // Classes, whose methods may come in several parts. The constructor is no part of what they make.
  struct: name => `export interface ${name} {}`,
  impl: (name, def) => `export interface ${name} {\n${def.replace(/^ constructor\(.*$/m, '')}\n}`,
  type: (name, def) => `export type ${name} =\n${def}`
}
