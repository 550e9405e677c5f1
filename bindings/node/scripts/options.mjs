// Writes src/options.ts from the settings of the core, which are said there and nowhere else.
// A part of the build, so that the types are never others than those of the library.
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const { settings } = createRequire(import.meta.url)('../evstream.node')
const file = fileURLToPath(new URL('../src/options.ts', import.meta.url))
const text = `// Written by scripts/options.mjs from the settings of the core at each build. Change them there.

/** Settings of an \`Events\`. Values out of range are refused with \`invalid-config\`. */
export interface Settings {
${settings().map(setting => `  /** ${doc(setting)} */\n  ${setting.name}?: ${type(setting)} | undefined`).join('\n')}
}
`

writeFileSync(file, text)

function doc ({ doc, default: usual, min, max }) {
  const range = min === undefined ? '' : ` From ${min} to ${max}.`
  return doc.replace(/\s+/g, ' ') + (usual === '' ? '' : ` Default: ${usual}.`) + range
}

function type ({ kind, words }) {
  switch (kind) {
    case 'integer': return 'number'
    case 'flag': return 'boolean'
    case 'list': return 'string | readonly string[]'
    case 'choice': return words.map(word => `'${word}'`).join(' | ')
    default: return 'string'
  }
}
