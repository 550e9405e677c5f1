import { Events } from 'evstream'
import { install } from 'evstream/prom-client'
import * as prom from 'prom-client'

const uninstall: () => void = install(new Events(), prom.register)
uninstall()
install(new Events(), new prom.AggregatorRegistry())
// @ts-expect-error a registry is needed
install(new Events())
const { ready, problems }: { ready: boolean, problems: string[] } = new Events().health()
void [ready, problems]
