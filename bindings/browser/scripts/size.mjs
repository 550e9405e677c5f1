// Fails where the client has grown over its budget, in bytes after a bundler and gzip.

import { gzipSync } from 'node:zlib'
import { buildSync } from 'esbuild'

const BUDGETS = { core: 2_560, index: 3_584 }

let isOver = false
for (const [name, budget] of Object.entries(BUDGETS)) {
  const { outputFiles: [{ contents }] } = buildSync({
    stdin: { contents: `export { connect } from './src/${name}.js'`, resolveDir: new URL('..', import.meta.url).pathname },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    write: false
  })
  const size = gzipSync(contents, { level: 9 }).length
  console.log(`@evstream/client, ${name}: ${size} bytes of at most ${budget}`)
  isOver ||= size > budget
}
if (isOver) process.exit(1)
