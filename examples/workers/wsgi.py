"""A page, its stream and what publishes to it, in Flask: `gunicorn -w 4 wsgi:app`.

Nothing here knows of other processes: the environment variable EVSTREAM_JOURNAL makes their events one.
"""

import os
from pathlib import Path

from flask import Flask, Response, request

from evstream import Events, JournalError

PAGE = Path(__file__).with_name("page.html").read_text()
events = Events()
app = Flask(__name__, static_folder=None)
# Each worker can have thousands of streams: they leave it for threads of evstream's.
app.add_url_rule("/events/", view_func=events.flask("messages"))


@app.get("/")
def page() -> str:
    return PAGE.replace("{pid}", str(os.getpid()))


@app.post("/messages")
def publish() -> tuple[dict[str, str | int | None], int]:
    fields = request.get_json()
    text = fields.get("text") if isinstance(fields, dict) else None
    if not isinstance(text, str) or not text:
        return {"error": 'a message is {"text": "..."}'}, 400
    receipt = events.publish("messages", {"text": text, "pid": os.getpid()}, event="message")
    # From here on it has its place in the order of all: what the client publishes next, by any worker, comes after it.
    receipt.wait()
    return {"id": receipt.position, "pid": os.getpid()}, 201


@app.errorhandler(JournalError)
def unavailable(error: JournalError) -> tuple[dict[str, str], int]:
    return {"error": str(error)}, 503


@app.after_request
def sign(response: Response) -> Response:
    """Tells who has answered, of streams too."""
    response.headers["X-Pid"] = str(os.getpid())
    return response
