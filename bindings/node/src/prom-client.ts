// `evstream/prom-client`: metrics in a registry of prom-client, and so in what its AggregatorRegistry adds up in a cluster.

import type { Events } from './events'
import { errorOf } from './errors'
import type { NativeFamily } from './native'

/** A registry of prom-client, as far as it is used. */
export interface Registry {
  registerMetric (metric: any): void
  removeSingleMetric (name: string): void
}

/** How values of several processes become one. */
type Aggregator = 'sum' | 'min' | 'max' | 'first'

/** A metric as a registry asks for it. */
interface Shown {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  aggregator: Aggregator
  values: Array<{ metricName?: string, labels: Record<string, string>, value: number }>
}

/**
 * Has a registry of prom-client tell the metrics of `events`: `install(events, promClient.register)`. In a cluster call it in each
 * worker, and make an `AggregatorRegistry` there and in the primary, which reads its own.
 *
 * Gives back a function that takes them out again. Throws `ArgumentError` when the registry has metrics of evstream already.
 */
export function install (events: Events, registry: Registry): () => void {
  const snapshot = snapshots(events)
  const names: string[] = []
  const uninstall = (): void => { for (const name of names.splice(0)) registry.removeSingleMetric(name) }
  for (const family of snapshot().values()) {
    const shown = show(family)
    try {
      registry.registerMetric({
        ...shown,
        // By the name that it has there: for OpenMetrics a registry takes `_total` off it, and puts it on again.
        async get (this: Shown): Promise<Shown> {
          return { ...show(snapshot(family.name).get(family.name) ?? { ...family, samples: [] }), name: this.name }
        },
        reset () { /* they count since the events were made */ }
      })
    } catch (error) {
      uninstall()
      throw errorOf('invalid-argument', `the registry has metrics of evstream already: ${(error as Error).message}`)
    }
    names.push(shown.name)
  }
  return uninstall
}

function show ({ name, help, kind, samples }: NativeFamily): Shown {
  const type = kind === 'info' ? 'gauge' : kind
  return {
    name: kind === 'counter' ? `${name}_total` : kind === 'info' ? `${name}_info` : name,
    help,
    type,
    aggregator: AGGREGATORS[name] ?? 'sum',
    // prom-client makes the names of others than histograms by itself.
    values: samples.map(({ name, labels, value }) => ({ ...(type === 'histogram' && { metricName: name }), labels, value }))
  }
}

/** Reads once for all that a registry asks for metric by metric, and anew when it begins again or in another turn. */
function snapshots (events: Events): (name?: string) => Map<string, NativeFamily> {
  let families: Map<string, NativeFamily> | undefined
  const given = new Set<string>()
  return name => {
    if (!families || (name !== undefined && given.has(name))) {
      given.clear()
      if (!families) setImmediate(() => { families = undefined })
      families = new Map(events.families().map(family => [family.name, family]))
    }
    if (name !== undefined) given.add(name)
    return families
  }
}

/** What is no sum. */
const AGGREGATORS: Record<string, Aggregator> = {
  evstream: 'first',
  evstream_journal_connected: 'min',
  evstream_journal_lag_seconds: 'max'
}
