"""The clock demo in Flask: a page, a stream at `/events/`, and a form that publishes messages.

`PORT` chooses the port (default 8000, 0 takes a free one). It needs evstream and flask; in production
`gunicorn -k sync main:app` does with one worker, however many streams are open.
"""

import os
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from flask import Flask, Response, request, send_from_directory
from werkzeug.serving import make_server

from evstream import ClosedError, Events, EvstreamError

PAGE = Path(__file__).parent.parent / "page"
events = Events(grip=os.environ.get("GRIP_URL"))
app = Flask(__name__, static_folder=None)
app.wsgi_app = events.wsgi_links(app.wsgi_app)  # type: ignore[method-assign]
# The stream itself: clients choose the channels with `?channel=`.
app.add_url_rule("/events/", view_func=events.flask())


@app.post("/messages/")
def publish_message() -> tuple[dict[str, str | None], int]:
    """Publishes what was posted, as a form or as JSON."""
    fields = request.get_json(silent=True) if request.is_json else request.form
    text = fields.get("text") if isinstance(fields, Mapping) else None
    if not isinstance(text, str) or not text:
        return {"error": "a message is a form or a JSON object with a `text` that is not empty"}, 400
    try:
        receipt = events.publish("messages", {"text": text}, event="message")
    except EvstreamError as error:
        return {"error": str(error)}, 400
    return {"id": receipt.position}, 200


@app.get("/", defaults={"name": "index.html"})
@app.get("/<any('style.css', 'app.js', 'log.js', 'stream.js'):name>")
def page(name: str) -> Response:
    """The page's files."""
    response = send_from_directory(PAGE, name)
    response.headers["Cache-Control"] = "no-cache"
    return response


def now() -> str:
    """The time as RFC 3339 has it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def tick() -> None:
    """Publishes the time every second."""
    while True:
        try:
            events.publish("clock", {"time": now()}, event="time")
        except ClosedError:
            return
        time.sleep(1)


if __name__ == "__main__":
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "8000")), app, threaded=True)
    url = f"http://127.0.0.1:{server.server_port}/"
    print(f"Listening on {url}", flush=True)
    print(f"Try: curl -N '{url}events/?channel=clock'", flush=True)
    threading.Thread(target=tick, daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        events.close()
