"""The server of evstream's own, and what an application hears of its streams."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import open_stream, until

import evstream
from evstream import Events, HttpRequest, StreamInfo


def test_several_mounts_and_a_fallback() -> None:
    def page(request: HttpRequest, body: bytes) -> tuple[int, str, str | bytes]:
        if request.path == "/broken":
            raise KeyError("oops")
        if request.path == "/wrong":
            return "no answer"  # type: ignore[return-value]
        return 201, "text/plain", f"{request.method} {request.path} {request.query} {body.decode()}"

    def mine(request: HttpRequest) -> Any:
        return [f"user-{request.headers['x-user']}"]

    with (
        Events() as events,
        events.serve(mounts={"/events/": None, "/news/": "news", "/me/": mine}, fallback=page) as server,
    ):
        url = f"http://{server.address}"
        with open_stream(f"{url}/events/?channel=a") as client:
            assert client.named("stream-open") == {"channels": ["a"]}
        with open_stream(f"{url}/news/?channel=a") as client:
            assert client.named("stream-open") == {"channels": ["news"]}
        with open_stream(f"{url}/me/", {"X-User": "bob"}) as client:
            assert client.named("stream-open") == {"channels": ["user-bob"]}
        answer = httpx.post(f"{url}/other?a=1", content=b"hi")
        assert (answer.status_code, answer.text) == (201, "POST /other {'a': ['1']} hi")
        assert answer.headers["content-type"] == "text/plain"
        assert [httpx.get(f"{url}/{path}").status_code for path in ("broken", "wrong")] == [500, 500]


@pytest.mark.parametrize(
    ("accept", "headers"),
    [
        (True, {}),
        ("token", {"Authorization": "Bearer token"}),
        (("user", "secret"), {"Authorization": "Basic dXNlcjpzZWNyZXQ="}),
    ],
)
def test_other_processes_publish(accept: Any, headers: dict[str, str]) -> None:
    item = {"channel": "events-a", "formats": {"http-stream": {"content": "event: message\ndata: hi\n\n"}}}
    with Events() as events, events.subscribe("a") as reader, events.serve(accept_publish=accept) as server:
        url = f"http://{server.address}/publish/"
        if headers:
            assert httpx.post(url, json={"items": [item]}).status_code in (401, 403)
        assert httpx.post(url, json={"items": [item]}, headers=headers).status_code == 200
        message = reader.next(5)
        assert isinstance(message, evstream.Received)
        assert (message.event, message.data) == ("message", "hi")


@pytest.mark.parametrize("accept", ["", ("a", "b", "c"), ("a", ""), 1])
def test_who_may_publish_is_said_clearly(accept: Any) -> None:
    with Events() as events, pytest.raises(evstream.InvalidError, match="a token"):
        events.serve(accept_publish=accept)
    with Events() as events, pytest.raises(evstream.ConfigError, match="authorization"):
        events.serve("0.0.0.0", accept_publish=True)


def test_a_unix_socket(tmp_path: Path) -> None:
    with Events() as events, events.serve(f"unix:{tmp_path}/socket") as server:
        transport = httpx.HTTPTransport(uds=f"{tmp_path}/socket")
        with httpx.Client(transport=transport) as client:
            assert client.head("http://host/events/?channel=a").status_code == 200
        assert server.port == 0


def test_an_application_hears_of_its_streams(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, StreamInfo]] = []
    with Events() as events:

        @events.on_open
        def opened(stream: StreamInfo) -> None:
            told.append(("open", stream))
            raise KeyError("oops")

        events.on_close(lambda stream: told.append(("close", stream)))
        channels = lambda request: evstream.Access(["a", "b"], user="bob")  # noqa: E731
        with events.serve(channels=channels) as server, open_stream(f"http://{server.address}/events/") as client:
            client.named("stream-open")
            until(lambda: len(told) == 1, "it is told of the stream")
        until(lambda: len(told) == 2, "it is told of the end")
    info = StreamInfo(told[0][1].id, ["a", "b"], "bob", "127.0.0.1", None)
    assert told[0] == ("open", info)
    assert told[1][1].reason in ("client", "shutdown")
    assert opened is not None
    assert "the function for on_open has failed" in caplog.text


def test_an_application_hears_of_what_a_proxy_did_not_get() -> None:
    told: list[evstream.PublishFailure] = []
    with Events(grip="http://127.0.0.1:9/", grip_deadline_ms=100) as events:
        events.on_publish_error(told.append)
        position = events.publish("a", 1).position
        until(lambda: told, "it is told")
        assert (told[0].channel, told[0].position) == ("events-a", position)
        assert told[0].proxy.startswith("http://127.0.0.1:9")
        assert isinstance(told[0].error, evstream.ProxyError)


def test_a_channel() -> None:
    with Events() as events:
        channel = events.channel("a")
        assert (channel.name, channel.streams) == ("a", 0)
        with events.subscribe("a") as reader:
            assert channel.streams == 1
            assert channel.publish({"n": 1}, event="x").streams == 1
            message = reader.next(5)
            assert isinstance(message, evstream.Received)
            assert (message.event, message.json()) == ("x", {"n": 1})
        with pytest.raises(evstream.InvalidEventError):
            channel.publish(object())
    with pytest.raises(evstream.ClosedError):
        channel.publish(1)
    with pytest.raises(evstream.InvalidError):
        Events().channel("")


def test_a_snapshot_and_a_stream_are_joined() -> None:
    with Events() as events, events.serve() as server:
        position = events.position()
        events.publish("a", "meanwhile", event="x")
        assert events.position() > position
        with open_stream(f"http://{server.address}/events/?channel=a&lastEventId={position}") as client:
            client.named("stream-open")
            assert client.named("x") == "meanwhile"


def test_a_function_cannot_close_what_would_wait_for_it() -> None:
    raised: list[str] = []

    def decide(request: HttpRequest) -> Any:
        try:
            events.close()
        except evstream.CallbackError as error:
            raised.append(error.code)
        return ["a"]

    with Events() as events:
        with events.serve(channels=decide) as server, open_stream(f"http://{server.address}/events/") as client:
            client.named("stream-open")
        assert raised == ["in-callback"]
        assert events.publish("a", 1).position


def test_closing_says_what_has_not_ended() -> None:
    entered, leave = threading.Event(), threading.Event()

    def decide(request: HttpRequest) -> Any:
        entered.set()
        leave.wait(30)
        return ["a"]

    events = Events()
    server = events.serve(channels=decide)
    asking = threading.Thread(target=lambda: httpx.get(f"http://{server.address}/events/", timeout=30))
    asking.start()
    assert entered.wait(15)
    assert not events.close(0.1).ended
    leave.set()
    assert events.close(15).ended
    asking.join(15)


def test_clients_behind_a_proxy_that_passes_connections_on() -> None:
    """It says first whom a connection comes from; without that it is closed."""

    def show(request: HttpRequest, body: bytes) -> tuple[int, str, str]:
        return 200, "text/plain", f"of {request.client}"

    with (
        Events(proxy_protocol=True, trusted_proxies="127.0.0.1") as events,
        events.serve(fallback=show) as server,
    ):

        def ask(header: str) -> str:
            host, port = server.address.split(":")
            with socket.create_connection((host, int(port)), timeout=15) as connection, connection.makefile() as answer:
                connection.sendall(f"{header}GET / HTTP/1.0\r\n\r\n".encode())
                return answer.read()

        assert ask("PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n").endswith("of 192.0.2.1")
        # Closed with something unread, which resets it.
        with pytest.raises(ConnectionResetError):
            ask("")
        assert events.stats()["connections_refused"] == 1
    with Events(proxy_protocol=True) as events, pytest.raises(evstream.ConfigError, match="trusted_proxies"):
        events.serve()
