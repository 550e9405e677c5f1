"""The clock demo in Django, in one file: a page, a stream at `/events/`, and a form that publishes messages.

`PORT` chooses the port (default 8000, 0 takes a free one). It needs evstream and django.
"""

import json
import os
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, JsonResponse
from django.urls import include, path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

PAGE = Path(__file__).parent.parent / "page"
FILES = ("style.css", "app.js", "log.js", "stream.js")

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["evstream.django"],
    EVSTREAM={"history_events": 1_000},
)
application = get_wsgi_application()

import evstream.django  # noqa: E402 - needs the settings
from evstream import ClosedError, EvstreamError  # noqa: E402
from evstream.django import events, send_event  # noqa: E402


@csrf_exempt
@require_POST
def publish_message(request: HttpRequest) -> JsonResponse:
    """Publishes what was posted, as a form or as JSON."""
    try:
        fields = json.loads(request.body) if request.content_type == "application/json" else request.POST
        text = fields["text"]
        if not isinstance(text, str) or not text:
            raise ValueError("the text is not empty")
        receipt = send_event("messages", "message", {"text": text})
    except (EvstreamError, KeyError, TypeError, ValueError) as error:
        return JsonResponse({"error": f"a message is a form or a JSON object with a `text`: {error}"}, status=400)
    return JsonResponse({"id": receipt.position})


@never_cache
def page(_: HttpRequest, name: str) -> FileResponse:
    """One of the page's files."""
    kind = {".html": "html", ".css": "css", ".js": "javascript"}[Path(name).suffix]
    return FileResponse((PAGE / name).open("rb"), content_type=f"text/{kind}; charset=utf-8")


urlpatterns = [
    # The stream itself: clients choose the channels with `?channel=`.
    path("events/", include(evstream.django.urls)),
    path("messages/", publish_message),
    path("", page, {"name": "index.html"}),
    *(path(name, page, {"name": name}) for name in FILES),
]


def tick() -> None:
    """Publishes the time every second."""
    while True:
        try:
            send_event("clock", "time", {"time": datetime.now(timezone.utc)})
        except ClosedError:
            return
        time.sleep(1)


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - as its parent has it


def main() -> None:
    # What `manage.py runserver` does, which cannot tell the port it has taken.
    port = int(os.environ.get("PORT", "8000"))
    server = ThreadedWSGIServer(("127.0.0.1", port), QuietHandler, allow_reuse_address=True)
    server.set_app(application)
    url = f"http://127.0.0.1:{server.server_port}/"
    print(f"Listening on {url}", flush=True)
    print(f"Try: curl -N '{url}events/?channel=clock'", flush=True)
    threading.Thread(target=tick, daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        events().close()


if __name__ == "__main__":
    main()
