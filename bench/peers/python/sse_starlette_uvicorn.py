"""sse-starlette under uvicorn, with a queue for each client, as its users write it."""

import asyncio
import contextlib
import socket
from collections import defaultdict
from collections.abc import AsyncIterator

import uvicorn
from commands import obey_in_thread, ready
from sse_starlette.sse import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

queues: dict[str, set[asyncio.Queue[str]]] = defaultdict(set)


async def stream(request: Request) -> EventSourceResponse:
    channel = request.query_params["channel"]
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues[channel].add(queue)

    async def events() -> AsyncIterator[ServerSentEvent]:
        try:
            while True:
                yield ServerSentEvent(await queue.get(), event="message")
        finally:
            queues[channel].discard(queue)

    return EventSourceResponse(events())


def publish(channel: str, data: str) -> None:
    for queue in queues[channel]:
        queue.put_nowait(data)


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    obey_in_thread(lambda channel, data: loop.call_soon_threadsafe(publish, channel, data))
    host, port = listener.getsockname()
    ready(f"{host}:{port}", "/?channel={channel}")
    yield


listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
app = Starlette(routes=[Route("/", stream)], lifespan=lifespan)
config = uvicorn.Config(app, log_level="warning", access_log=False, backlog=4096)
uvicorn.Server(config).run(sockets=[listener])
