"""Behind a real Pushpin, which holds the streams: the same for clients as without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pushpin import Pushpin
from support import SERVERS, ServerProcess, open_stream, until

ORIGINS = ["uvicorn-uvloop", "gunicorn-sync", "django-gunicorn", "django-uvicorn"]


@pytest.fixture(scope="module", params=ORIGINS)
def held(request: pytest.FixtureRequest) -> Iterator[tuple[Pushpin, ServerProcess]]:
    """A server behind a Pushpin."""
    with Pushpin() as pushpin, ServerProcess(SERVERS[request.param], GRIP_URL=pushpin.grip_url) as server:
        pushpin.start(server)
        yield pushpin, server


def test_events_come_in_order_and_after_a_reconnect(held: tuple[Pushpin, ServerProcess]) -> None:
    pushpin, server = held
    url = f"{pushpin.url}/events/?channel=a&channel=b"
    with open_stream(url) as client:
        assert client.named("stream-open") == {"channels": ["a", "b"]}
        for n in range(40):
            receipt = server.publish("ab"[n % 2], n)
            assert receipt["proxies"] == [[pushpin.grip_url.partition("/?")[0], None]]
            assert receipt["streams"] == 0  # of this process
        got = [client.next() for _ in range(40)]
        assert [event.json() for event in got] == list(range(40))
        assert [event.id for event in got] == sorted({event.id for event in got})
    server.publish("a", 40)
    with open_stream(url, {"Last_Event_ID": got[-1].id}) as client:
        assert client.next().event == "stream-open"
        server.publish("b", 41)
        assert [client.named("message"), client.named("message")] == [40, 41]
    stats = server.stats()
    assert (stats["open"], stats["grip_refused"], stats["publish_failures"]) == (0, 0, 0)


def test_what_the_proxy_has_lost_is_repaired(held: tuple[Pushpin, ServerProcess]) -> None:
    """Also where the route knows only the exact path, and a guard that the proxy's own question cannot pass."""
    pushpin, server = held
    before = server.stats()["repairs"]
    with open_stream(f"{pushpin.url}/rooms/7", {"X_User": "bob"}) as client:
        assert client.response.headers["x-room"] == "7"
        assert client.named("stream-open") == {"channels": ["room-7"]}
        # The proxy asks once soon after a channel's first stream. What is lost afterwards only a gap tells it.
        until(lambda: server.stats()["repairs"] > before, "the proxy has asked")
        server.publish("room-7", "one")
        assert client.named("message") == "one"
        pushpin.tap.loses = True
        server.publish("room-7", "two")
        pushpin.tap.loses = False
        server.publish("room-7", "three")
        assert [client.named("message"), client.named("message")] == ["two", "three"]
    assert server.stats()["grip_refused"] == 0


def test_a_refusal_is_passed_on(held: tuple[Pushpin, ServerProcess]) -> None:
    pushpin, _ = held
    with open_stream(f"{pushpin.url}/decided?as=nobody") as client:
        assert client.named("stream-error")["condition"] == "forbidden"
        assert client.rest() == []
