"""A page, its stream and what publishes to it, in FastAPI: `uvicorn --workers 4 asgi:app`.

Nothing here knows of other processes: the environment variable EVSTREAM_JOURNAL makes their events one.
"""

import os
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, StringConstraints

from evstream import Events, JournalError

PAGE = Path(__file__).with_name("page.html").read_text()
events = Events()
app = FastAPI()


class Message(BaseModel):
    text: Annotated[str, StringConstraints(min_length=1)]


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    return PAGE.replace("{pid}", str(os.getpid()))


@app.get("/events/")
def stream(request: Request) -> Response:
    response = events.response(request, channels="messages")
    response.headers["X-Pid"] = str(os.getpid())  # tells whose the stream is
    return response


@app.post("/messages", status_code=201)
async def publish(message: Message) -> dict[str, str | int | None]:
    # Waits until it has its place in the order of all: what the client publishes next, by any worker, comes after it.
    receipt = await events.apublish("messages", {"text": message.text, "pid": os.getpid()}, event="message")
    return {"id": receipt.position, "pid": os.getpid()}


@app.exception_handler(JournalError)
def unavailable(request: Request, error: JournalError) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 503)
