"""Streams in each server: the same answers, whether the engine has the socket or the server is given the bytes."""

from __future__ import annotations

import re
import socket

import httpx
import pytest
import requests
from support import ServerProcess, until


def test_an_event_reaches_a_stream(server: ServerProcess) -> None:
    with server.open("/events/?channel=a&channel=b") as client:
        head = client.response.headers
        assert client.response.status_code == 200
        assert head["content-type"] == "text/event-stream"
        assert head["cache-control"] == "no-cache, no-transform"
        assert head["x-accel-buffering"] == "no"
        assert client.named("stream-open") == {"channels": ["a", "b"]}
        receipt = server.publish("b", {"n": 1, "text": "zwölf\n€"})
        assert receipt["streams"] == 1
        event = client.next()
        assert (event.event, event.id, event.json()) == ("message", receipt["id"], {"n": 1, "text": "zwölf\n€"})
    until(lambda: server.stats()["open"] == 0, "the stream is closed")


def test_requests_reads_a_stream(server: ServerProcess) -> None:
    """Another client than that of the other tests."""
    with requests.get(f"{server.url}/events/?channel=r", stream=True, timeout=15) as response:
        lines = response.iter_lines(chunk_size=1)
        assert next(line for line in lines if line.startswith(b"event")) == b"event: stream-open"
        server.publish("r", "hi")
        assert next(line for line in lines if line == b'data: "hi"')
    until(lambda: server.stats()["open"] == 0, "the stream is closed")


def test_many_streams_at_once(server: ServerProcess) -> None:
    """More than a worker could hold, if it had to."""
    before = server.stats()["open"]
    sockets = [request(server, "/events/?channel=many") for _ in range(12)]
    for sock in sockets:
        read_until(sock, b"stream-open")
    until(lambda: server.stats()["open"] == before + 12, "all are open")
    for n in range(3):
        assert server.publish("many", n)["streams"] == 12
    for sock in sockets:
        read_until(sock, b"data: 2\n")
        sock.close()
    until(lambda: server.stats()["open"] == before, "all are closed again", 30)


def test_resuming_after_a_position(server: ServerProcess) -> None:
    with server.open("/events/?channel=resume") as client:
        client.named("stream-open")
        first = server.publish("resume", 1)["id"]
        assert client.next().id == first
    server.publish("resume", 2)
    server.publish("resume", 3)
    with server.open("/events/?channel=resume", Last_Event_ID=first) as client:
        client.named("stream-open")
        assert [client.next().json(), client.next().json()] == [2, 3]
    with server.open("/events/?channel=resume", Last_Event_ID="0badc0de-000000000001") as client:
        client.named("stream-open")
        assert client.named("stream-reset") == {"channels": ["resume"], "reason": "epoch"}


def test_the_framework_has_its_say(server: ServerProcess) -> None:
    """Its guards, its headers and its cookies apply."""
    assert httpx.get(f"{server.url}/rooms/7").status_code == 401
    with server.open("/rooms/7", X_User="bob") as client:
        assert client.response.headers["x-room"] == "7"
        assert client.response.cookies["seen"] == "1"
        assert client.named("stream-open") == {"channels": ["room-7"]}
        server.publish("room-7", "hi")
        assert client.named("message") == "hi"
    with server.open("/formats/8") as client:
        assert client.named("stream-open") == {"channels": ["room-8"]}


@pytest.mark.parametrize("path", ["/decided", "/decided-sync"])
def test_a_function_decides(server: ServerProcess, path: str) -> None:
    if path == "/decided-sync" and "fastapi" in server.kind.command:
        path = "/decided-sync?room=asked"
    with server.open(path) as client:
        assert client.named("stream-open") == {"channels": ["asked"]}


@pytest.mark.parametrize("how", ["nobody", "false", "broken", "none", "empty", "mistyped"])
def test_a_function_refuses(server: ServerProcess, how: str) -> None:
    with server.open(f"/decided?as={how}&channel=x") as client:
        event = client.next()
        if how == "broken":  # which will pass
            assert (event.event, event.json()) == ("stream-close", {"reason": "failed"})
        else:
            assert (event.event, event.id, event.json()["condition"]) == ("stream-error", "error", "forbidden")
        assert how != "nobody" or event.json()["text"] == "not you"
        assert client.rest() == []
    if how == "broken":
        until(lambda: "KeyError: 'oops'" in server.log(), "the exception is logged")
        assert server.log().count("KeyError: 'oops'") == 1


def test_a_function_allows_what_the_client_names(server: ServerProcess) -> None:
    with server.open("/decided?as=true&channel=x") as client:
        assert client.named("stream-open") == {"channels": ["x"]}
    with server.open("/decided?as=access&channel=x") as client:
        assert client.named("stream-open") == {"channels": ["asked"]}


def test_what_is_not_a_stream(server: ServerProcess) -> None:
    url = f"{server.url}/events/"
    assert httpx.get(url, params={"channel": "a"}, headers={"Accept": "text/html"}).status_code == 406
    assert httpx.get(url, params={"channel": "a"}, headers={"Last-Event-ID": "error"}).status_code == 400
    head = httpx.head(url, params={"channel": "a"})
    assert (head.status_code, head.headers["content-type"], head.content) == (200, "text/event-stream", b"")
    options = httpx.options(url)
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    with server.open("/events/") as client:
        assert client.named("stream-error")["condition"] == "bad-request"
        assert client.rest() == []


def test_after_a_keep_alive_request(server: ServerProcess) -> None:
    """The connection of a stream may have had other requests before."""
    with httpx.Client(trust_env=False) as http:
        http.get(f"{server.url}/stats")
        try:
            read_one(http, server)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            # A server may close at any time (RFC 9112 9.3.1), as uWSGI does, just when the request is on its way.
            read_one(http, server)


def read_one(http: httpx.Client, server: ServerProcess) -> None:
    with http.stream("GET", f"{server.url}/events/?channel=later") as response:
        lines = response.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: stream-open"
        server.publish("later", 1)
        assert next(line for line in lines if line == "data: 1")


def test_http_1_0(server: ServerProcess) -> None:
    sock = request(server, "/events/?channel=old", version="1.0")
    head = read_until(sock, b"stream-open")
    server.publish("old", "x")
    body = read_until(sock, b'data: "x"\n')
    if b"chunked" not in head.lower():
        assert b"\r\n" not in body
    sock.close()


def test_the_bytes_are_the_same_everywhere(server: ServerProcess) -> None:
    """But for the head, which is the server's, and the ids."""
    sock = request(server, "/events/?channel=bytes")
    read_until(sock, b"stream-open")
    server.publish("bytes", {"a": [1, "é"]})
    sse = rb'event: message\ndata: {"a":\[1,"\xc3\xa9"\]}\nid: [0-9a-f]{8}-[0-9a-f]{12}\n\n'
    event = b""
    while not (found := re.search(rb"(?:([0-9a-fA-F]+)\r\n)?(" + sse + rb")", event)):
        some = sock.recv(65_536)
        assert some, event
        event += some
    if found[1]:
        assert int(found[1], 16) == len(found[2])
    sock.close()


def test_garbage_after_the_request(server: ServerProcess) -> None:
    """What a client says on a stream's connection disturbs nobody."""
    sock = request(server, "/events/?channel=noise")
    read_until(sock, b"stream-open")
    sock.sendall(b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n")
    server.publish("noise", 1)
    read_until(sock, b"data: 1\n")
    sock.close()


def request(server: ServerProcess, path: str, version: str = "1.1") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=15)
    sock.sendall(f"GET {path} HTTP/{version}\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
    return sock


def read_until(sock: socket.socket, end: bytes) -> bytes:
    read = b""
    while end not in read:
        some = sock.recv(65_536)
        assert some, f"the connection ended after {read!r}"
        read += some
    return read
