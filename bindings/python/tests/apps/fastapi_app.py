"""Streams in FastAPI: mounted, and as responses of routes with dependencies and middleware."""

import asyncio
import dataclasses
import os
import signal

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware

from evstream import Access, Events, Forbidden

events = Events(
    grip=os.environ.get("GRIP_URL"),
    grip_sole_publisher=True,
    adopt=os.environ.get("ADOPT", "1") == "1",
    write_timeout_ms=int(os.environ.get("WRITE_TIMEOUT_MS", "30000")),
    keep_alive_ms=int(os.environ.get("KEEP_ALIVE_MS", "20000")),
)
app = FastAPI()
app.mount("/events", events.asgi())


def signed_in(request: Request) -> str:
    user = request.headers.get("x-user")
    if user is None:
        raise HTTPException(401, "please log in")
    return user


@app.get("/rooms/{room}")
async def room(request: Request, room: str, user: str = Depends(signed_in)):
    response = events.response(request, channels=[f"room-{room}"])
    response.headers["X-Room"] = room
    response.set_cookie("seen", "1")
    return response


@app.get("/formats/{room}")
def formats(request: Request):
    return events.response(request, channels="room-{room}")


async def decide(request: Request):
    match request.query_params.get("as"):
        case "nobody":
            raise Forbidden("not you")
        case "false":
            return False
        case "broken":
            raise KeyError("oops")
        case "access":
            return Access(["asked"], user="bob")
        case "true":
            return True
        case "none":
            return None
        case "empty":
            return []
        case "mistyped":
            return {"x": True}
    return ["asked"]


late = 0


async def decide_late(request: Request):
    """Decides when uvicorn has long begun to stop."""
    global late
    late += 1
    server = signal.getsignal(signal.SIGTERM).__self__
    while not server.should_exit or server.servers[0].is_serving():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    return ["late"]


@app.get("/decided-late")
async def decided_late(request: Request):
    return events.response(request, channels=decide_late)


@app.get("/late")
async def count_late():
    return late


@app.get("/decided")
async def decided(request: Request):
    return events.response(request, channels=decide)


@app.get("/decided-sync")
async def decided_sync(request: Request):
    return events.response(request, channels=lambda request: [request.query_params["room"]])


@app.post("/publish/{channel}")
async def publish(channel: str, request: Request):
    receipt = await events.apublish(channel, await request.json(), event="message")
    return {"id": receipt.position, "streams": receipt.streams, "proxies": receipt.wait(0)}


@app.post("/close")
def close():
    return dataclasses.asdict(events.close())


@app.get("/stats")
def stats():
    return events.stats()


@app.get("/tasks")
async def tasks():
    return len(asyncio.all_tasks())


if os.environ.get("GZIP") == "1":
    # As middleware that knows nothing of streams does.
    app.add_middleware(GZipMiddleware, minimum_size=1, exclude_content_types=())
if os.environ.get("WRAP") == "1":

    @app.middleware("http")
    async def pass_on(request: Request, call_next):
        """As most middleware of users is: it wraps `receive`."""
        return await call_next(request)


app.add_middleware(CORSMiddleware, allow_origins=["https://example.com"])
app.add_middleware(SessionMiddleware, secret_key="test")
if os.environ.get("GRIP_URL"):
    app = events.asgi_links(app)
