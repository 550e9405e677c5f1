// The types allow what works, and nothing that does not; and they name what the package has.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import * as core from '@evstream/client/core'
import * as whole from '@evstream/client'

const cwd = new URL('.', import.meta.url)

test('tsc', { timeout: 120_000 }, async () => {
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom,dom.iterable']
  await promisify(execFile)(process.execPath, ['../node_modules/typescript/bin/tsc', ...options, 'types/use.mts'], { cwd })
    .catch(({ stdout }) => assert.fail(stdout))
})

test('what it exports', async () => {
  for (const exported of [core, whole]) assert.deepEqual(Object.keys(exported), ['connect', 'eventsOf'])
  const client = whole.connect('http://127.0.0.1:9/')
  assert.deepEqual(Object.keys(client).sort(), ['close', 'error', 'getSnapshot', 'leader', 'on', 'position', 'reconnect', 'status', 'subscribe'])
  client.close()
})
