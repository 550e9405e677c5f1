"""The life of each server: with clients that are slow or dead, large events, an end of the events, and its own end."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import signal
import socket
import time

import httpx
import pytest
from support import SERVERS, STOP_TIMEOUT_S, ServerProcess, dial, rest, until, wait_for


@pytest.mark.parametrize("name", SERVERS)
def test_a_client_that_takes_nothing_is_let_go(name: str) -> None:
    """And holds up nobody meanwhile."""
    with ServerProcess(SERVERS[name], WRITE_TIMEOUT_MS="1000") as server:
        dead = dial(server, "/events/?channel=a", buffer=4_096)
        with server.open("/events/?channel=a") as healthy:
            healthy.named("stream-open")
            until(lambda: server.stats()["open"] == 2, "both are open")
            for n in range(60):
                server.publish("a", f"{n} {'x' * 100_000}")
                assert healthy.named("message").startswith(f"{n} ")
            until(lambda: server.stats()["closed"]["write-timeout"] == 1, "the dead one is closed")
        until(lambda: server.stats()["open"] == 0, "all are closed")
        dead.close()


@pytest.mark.parametrize("name", SERVERS)
def test_a_slow_client_gets_a_large_event(name: str) -> None:
    with ServerProcess(SERVERS[name], WRITE_TIMEOUT_MS="3000") as server:
        slow = dial(server, "/events/?channel=a", buffer=65_536)
        wait_for(slow, b"stream-open")
        until(lambda: server.stats()["open"] == 1, "it is open")
        server.publish("a", "x" * 900_000 + "end")
        crawl(slow, b"end")
        slow.close()


@pytest.mark.parametrize("name", SERVERS)
def test_closing_the_events_ends_streams_well(name: str) -> None:
    with ServerProcess(SERVERS[name]) as server:
        client = dial(server, "/events/?channel=a")
        wait_for(client, b"stream-open")
        until(lambda: server.stats()["open"] == 1, "it is open")
        assert httpx.post(f"{server.url}/close", timeout=30).json() == {"ended": True, "undelivered": 0}
        wait_for(client, b"retry:")
        client.close()
        for _ in range(2):
            with server.open("/events/?channel=a") as again:
                assert again.named("stream-close") == {"reason": "shutdown"}
                assert again.rest() == []
        assert "Traceback" not in server.log(), server.log()


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_stops_asks_clients_to_come_back(name: str) -> None:
    with ServerProcess(SERVERS[name]) as server:
        client = dial(server, "/events/?channel=a")
        wait_for(client, b"stream-open")
        until(lambda: server.stats()["open"] == 1, "it is open")
        # Servers for development end well by Ctrl-C only.
        server.stop(signal.SIGINT if name in ("werkzeug", "django-runserver") else signal.SIGTERM)
        assert b"retry:" in rest(client)
        if name != "django-daphne":  # which cancels a task of Django's that leaves another one behind
            assert "Traceback" not in server.log(), server.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_uwsgi_passes_on_all_that_was_published_before_it_ends(number: signal.Signals) -> None:
    """It ends its workers in handlers of signals, and a reload waits for a minute for those that are busy."""
    with ServerProcess(SERVERS["uwsgi"]) as server:
        clients = [dial(server, f"/events/?channel=a&channel={n}") for n in range(8)]
        for client in clients:
            wait_for(client, b"stream-open")
        until(lambda: server.stats()["open"] == 8, "all are open")
        for n in range(50):
            server.publish("a", n)
        began = time.monotonic()
        if number == signal.SIGHUP:
            assert server.process is not None
            server.process.send_signal(number)
        else:
            server.stop(number)
        for client in clients:
            events, _, last = rest(client).partition(b"event: stream-close\n")
            assert re.findall(rb"data: (\d+)\n", events) == [b"%d" % n for n in range(50)]
            assert b'"reason":"shutdown"' in last
            assert b"retry:" in last
        if number == signal.SIGHUP:
            until(lambda: has_streams(server), "it serves streams again")
        assert time.monotonic() - began < STOP_TIMEOUT_S
        assert "Traceback" not in server.log(), server.log()


def has_streams(server: ServerProcess) -> bool:
    with contextlib.suppress(httpx.TransportError), server.open("/events/?channel=a") as client:
        return client.next().event == "stream-open"
    return False


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("uvicorn-httptools", "--limit-max-requests 4"),
        ("gunicorn-sync", "--max-requests 4"),
        ("gunicorn-gthread", "--max-requests 4"),
        ("gunicorn-uvicorn", "--max-requests 4"),
        ("gunicorn-gevent", "--max-requests 4"),
        ("gunicorn-pull", "--max-requests 4"),
        ("hypercorn", "--max-requests 4"),
    ],
)
def test_a_worker_that_has_served_its_time_asks_clients_to_come_back(name: str, option: str) -> None:
    kind = dataclasses.replace(SERVERS[name], command=f"{SERVERS[name].command} {option}")
    with ServerProcess(kind) as server:
        client = dial(server, "/events/?channel=a")
        wait_for(client, b"stream-open")
        for _ in range(8):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{server.url}/stats")
        wait_for(client, b"retry:")
        client.close()
        assert "Traceback" not in server.log(), server.log()


@pytest.mark.parametrize(
    ("name", "option", "told"),
    [
        ("uvicorn-httptools", "", '"GET /events/?channel=a HTTP/1.1" 200'),
        ("uvicorn-pull", "", '"GET /events/?channel=a HTTP/1.1" 200'),
        ("gunicorn-sync", "--access-logfile -", '"GET /events/?channel=a HTTP/1.1" 200'),
        ("gunicorn-gthread", "--access-logfile -", '"GET /events/?channel=a HTTP/1.1" 200'),
        ("gunicorn-pull", "--access-logfile -", '"GET /events/?channel=a HTTP/1.1" 200'),
        ("granian", "--access-log", '"GET /events/ HTTP/1.1" 200'),
        ("werkzeug", "", '"GET /events/?channel=a HTTP/1.1" 200'),
    ],
)
def test_a_stream_is_in_the_access_log_once(name: str, option: str, told: str) -> None:
    kind = dataclasses.replace(SERVERS[name], command=f"{SERVERS[name].command} {option}")
    with ServerProcess(kind) as server:
        client = dial(server, "/events/?channel=a")
        wait_for(client, b"stream-open")
        client.close()
        until(lambda: server.stats()["open"] == 0, "it is closed")
        until(lambda: told in server.log(), "it is logged")
        assert server.log().count("GET /events/") == 1


def crawl(client: socket.socket, end: bytes) -> None:
    """Reads little at a time, with pauses that are long together."""
    read = b""
    while end not in read[-200:]:
        some = client.recv(20_000)
        assert some, f"the connection ended after {len(read)} bytes"
        read += some
        time.sleep(0.05)
