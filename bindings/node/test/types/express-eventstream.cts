import evstream = require('evstream')
import expressEventStream = require('evstream/express-eventstream')

const events = expressEventStream.events({ grip: 'http://localhost:5561?key=changeme', prefix: 'events-' })
const handler: evstream.NodeHandler = expressEventStream.express({ events, grip: { controlUri: 'http://localhost:5561' } })
void handler
events.channel('a').write({ event: 'message', data: 1 })
// @ts-expect-error nothing else has events
expressEventStream.express({ events: {} })
