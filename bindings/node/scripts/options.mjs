// Writes src/options.ts from the settings of the core, which are said there and nowhere else.
// `--check` only tells whether the file is up to date.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const { settings } = createRequire(import.meta.url)('../evstream.node')
const file = fileURLToPath(new URL('../src/options.ts', import.meta.url))
const text = `// Written by scripts/options.mjs from the settings of the core. Change them there.

/** Settings of an \`Events\`. Values out of range are refused with \`invalid-config\`. */
export interface Settings {
${settings().map(setting => `  /** ${doc(setting)} */\n  ${setting.name}?: ${type(setting)}`).join('\n')}
}
`

if (!process.argv.includes('--check')) {
  writeFileSync(file, text)
} else if (readFileSync(file, 'utf8') !== text) {
  console.error('src/options.ts is not what the core says: npm run options')
  process.exitCode = 1
}

function doc ({ doc, min, max }) {
  const range = min === undefined ? '' : ` From ${min} to ${max}.`
  return doc.replace(/\s+/g, ' ') + range
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
