"""evstream under uvicorn; with the argument `pull` uvicorn keeps the sockets."""

import socket
import sys

import uvicorn
from commands import obey_in_thread, ready

from evstream import Events

events = Events(adopt="pull" not in sys.argv)
listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
config = uvicorn.Config(events.asgi(), log_level="warning", access_log=False, backlog=4096, lifespan="off")
obey_in_thread(lambda channel, data: events.publish(channel, text=data, event="message"))
host, port = listener.getsockname()
ready(f"{host}:{port}", "/?channel={channel}")
uvicorn.Server(config).run(sockets=[listener])
