"""The clock demo in FastAPI: a page, a stream mounted at `/events/`, and a form that publishes messages.

`PORT` chooses the port (default 8000, 0 takes a free one). It needs evstream, fastapi, python-multipart and uvicorn.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse

from evstream import Events, EvstreamError

PAGE = Path(__file__).parent.parent / "page"
events = Events(grip=os.environ.get("GRIP_URL"))


def now() -> str:
    """The time as RFC 3339 has it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def tick() -> None:
    """Publishes the time every second."""
    while True:
        events.publish("clock", {"time": now()}, event="time")
        await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    ticking = asyncio.create_task(tick())
    yield
    ticking.cancel()
    events.close()


app = FastAPI(lifespan=lifespan)
# The stream itself: clients choose the channels with `?channel=`.
app.mount("/events", events.asgi())


@app.post("/messages/")
async def publish_message(request: Request) -> JSONResponse:
    """Publishes what was posted, as a form or as JSON."""
    try:
        is_json = request.headers.get("content-type", "").startswith("application/json")
        fields = await request.json() if is_json else await request.form()
        text = fields["text"]
        if not isinstance(text, str) or not text:
            raise ValueError("the text is not empty")
        receipt = events.publish("messages", {"text": text}, event="message")
    except (EvstreamError, KeyError, TypeError, ValueError) as error:
        return JSONResponse({"error": f"a message is a form or a JSON object with a `text`: {error}"}, 400)
    return JSONResponse({"id": receipt.position})


@app.get("/")
def index() -> FileResponse:
    return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})


@app.get("/{name}")
def page(name: str) -> FileResponse:
    """The page's files."""
    known = {"style.css", "app.js", "log.js", "stream.js"}
    path = PAGE / name if name in known else PAGE / "index.html"
    status = 200 if name in known else 404
    return FileResponse(path, status, headers={"Cache-Control": "no-cache"})


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "8000"))))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    print(f"Listening on {url}", flush=True)
    print(f"Try: curl -N '{url}events/?channel=clock'", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
