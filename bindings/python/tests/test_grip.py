"""Behind a GRIP proxy: holds, and the links by which the proxy repairs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from evstream import Events

KEY = "0123456789abcdef"
PROXY = f"http://127.0.0.1:9/?iss=test&key={KEY}"
Answer = Callable[..., tuple[int, dict[str, str], bytes]]


def signature() -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    text = ".".join(part(json.dumps(v).encode()) for v in ({"typ": "JWT", "alg": "HS256"}, {"exp": time.time() + 60}))
    return f"{text}.{part(hmac.new(KEY.encode(), text.encode(), hashlib.sha256).digest())}"


@pytest.fixture
def events():
    with Events(grip=PROXY, grip_sole_publisher=True, grip_deadline_ms=100) as events:
        yield events


def flask_app(events: Events, links: bool) -> Answer:
    app = Flask(__name__)
    app.add_url_rule("/rooms/<room>", view_func=events.flask("room-{room}"), endpoint="room")
    if links:
        app.wsgi_app = events.wsgi_links(app.wsgi_app)  # type: ignore[method-assign]

    def get(path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        answer = app.test_client().get(path, headers=headers)
        return answer.status_code, dict(answer.headers), answer.data

    return get


def starlette_app(events: Events, links: bool) -> Answer:
    async def room(request: Any) -> Any:
        return events.response(request, channels=[f"room-{request.path_params['room']}"])

    app: Any = Starlette(routes=[Route("/rooms/{room}", room)])
    if links:
        app = events.asgi_links(app)

    def get(path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        answer = TestClient(app).get(path, headers=headers)
        return answer.status_code, {k.title(): v for k, v in answer.headers.items()}, answer.content

    return get


@pytest.mark.parametrize("make", [flask_app, starlette_app])
def test_a_stream_is_handed_over_and_repaired(events: Events, make: Any, caplog: pytest.LogCaptureFixture) -> None:
    get = make(events, True)
    headers = {"Grip-Sig": signature()}
    status, head, body = get("/rooms/1", **headers)
    assert (status, head["Grip-Hold"]) == (200, "stream")
    assert "events-room-1" in head["Grip-Channel"]
    assert b"stream-open" in body
    link = head["Grip-Link"].partition(">")[0].removeprefix("<")
    assert link.startswith("/rooms/1/evs1-")
    first = body.split(b"\nid: ")[1].split(b"\n")[0].decode()
    events.publish("room-1", "missed")
    status, head, body = get(link, **headers, **{"Grip-Last": f"events-room-1; last-id={first}"})
    assert (status, head["Grip-Hold"]) == (200, "stream")
    assert b'data: "missed"' in body
    stats = events.stats()
    assert (stats["held"], stats["repairs"], stats["open"]) == (1, 1, 0)
    assert get(link)[0] >= 400  # nobody but the proxy
    assert "nothing answers there" not in caplog.text


@pytest.mark.parametrize("make", [flask_app, starlette_app])
def test_links_that_nobody_answers_are_told_loudly_once(
    events: Events, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "evstream")
    get = make(events, False)
    for _ in range(2):
        assert get("/rooms/1", **{"Grip-Sig": signature()})[1]["Grip-Hold"] == "stream"
    assert caplog.text.count("nothing answers there") == 1


def test_a_request_that_did_not_come_through_the_proxy(events: Events) -> None:
    started: list[Any] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "QUERY_STRING": "channel=a",
        "HTTP_GRIP_SIG": "forged",
        "wsgi.input": io.BytesIO(),
    }
    body = events.wsgi()(environ, lambda *arguments: started.append(arguments))
    text = b"".join(body) if isinstance(body, list) else next(iter(body))
    assert not any(name == "Grip-Hold" for name, _ in started[0][1])
    assert text
    if hasattr(body, "close"):
        body.close()
