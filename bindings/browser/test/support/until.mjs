// Waiting for a condition, never for a time.

import { setTimeout as pause } from 'node:timers/promises'

const POLL_MS = 25
const TIMEOUT_MS = 30_000

/** Asks `probe` until it gives something truthy, and returns that. Fails after `timeoutMs`, saying what it waited for. */
export async function until (what, probe, { timeoutMs = TIMEOUT_MS } = {}) {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const answer = await probe()
    if (answer) return answer
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`)
    await pause(POLL_MS)
  }
}
