"""A chat with rooms in FastAPI: who may read a room is decided by the application, what was missed is resumed.

A room whose name begins with `private-` is for those who have joined it. `PORT` chooses the port (default 8000, 0
takes a free one). It needs evstream, fastapi, itsdangerous and uvicorn; the example keeps its members in memory, so
that it is for one process.
"""

import contextlib
import os
import re
import secrets
import socket
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, StringConstraints
from starlette.middleware.sessions import SessionMiddleware

from evstream import Events, Forbidden

PAGE = Path(__file__).parent / "page"
ROOM = r"[a-z0-9-]{1,40}"
# Enough that whoever comes back within an hour has missed nothing.
events = Events(history_events=500, history_age_ms=3_600_000)
members: dict[str, set[str]] = {}

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=os.environ.get("SECRET", secrets.token_hex()), same_site="strict")


class Person(BaseModel):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]


class Message(BaseModel):
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]


def user(request: Request) -> str:
    """The name of who asks, from the session."""
    name = request.session.get("name")
    if not isinstance(name, str):
        raise HTTPException(401, "please choose a name first")
    return name


User = Annotated[str, Depends(user)]


def may_read(name: str, room: str) -> bool:
    return not room.startswith("private-") or name in members.get(room, set())


@app.post("/session")
def sign_in(person: Person, request: Request) -> dict[str, str]:
    """Chooses a name."""
    request.session["name"] = person.name
    return {"name": person.name}


@app.post("/rooms/{room}/members")
def join(room: str, name: User) -> dict[str, str]:
    """Joins a room, which opens the private ones."""
    check(room)
    members.setdefault(room, set()).add(name)
    events.publish(room, {"name": name}, event="joined")
    return {"room": room}


@app.post("/rooms/{room}/messages")
def say(room: str, message: Message, name: User) -> dict[str, str | None]:
    """Says something in a room."""
    check(room)
    if not may_read(name, room):
        raise HTTPException(403, "join the room first")
    receipt = events.publish(room, {"name": name, "text": message.text}, event="said")
    return {"id": receipt.position}


@app.get("/rooms/{room}/events")
def listen(request: Request, room: str) -> Response:
    """The stream of a room. A browser cannot read the status of a stream that it may not have, so that what is wrong is
    told within the stream."""

    def allowed(request: Request) -> str:
        name = request.session.get("name")
        if not isinstance(name, str):
            raise Forbidden("please choose a name first")
        if not may_read(name, room):
            raise Forbidden("join the room first")
        return room

    return events.response(request, channels=allowed)


@app.get("/")
@app.get("/{file}.{kind}")
def page(file: str = "index", kind: str = "html") -> FileResponse:
    """The page's files."""
    if f"{file}.{kind}" not in ("index.html", "chat.js", "chat.css"):
        raise HTTPException(404)
    return FileResponse(PAGE / f"{file}.{kind}", headers={"Cache-Control": "no-cache"})


def check(room: str) -> None:
    if not re.fullmatch(ROOM, room):
        raise HTTPException(422, "the name of a room has small letters, digits and `-`, at most 40")


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "8000"))))
    print(f"Listening on http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
