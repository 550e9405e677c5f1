"""Adoption, the end of servers, and clients that misbehave."""

from __future__ import annotations

import signal
import zlib

import httpx
import psutil
import pytest
from support import (
    COMPRESSED,
    SERVERS,
    TLS,
    UNCOMPRESSED,
    ServerProcess,
    dial,
    rest,
    until,
    wait_for,
)

ADOPTING = [name for name, kind in SERVERS.items() if kind.adopts]
# Every server but those that end at once however many streams are open, which would prove nothing.
STOPPING = [name for name in SERVERS if name not in ("hypercorn", "django-hypercorn", "granian")]


@pytest.mark.parametrize("name", ["uvicorn-h11", "uvicorn-httptools", "uvicorn-uvloop", "gunicorn-uvicorn"])
def test_an_adopted_stream_leaves_nothing_behind_in_asgi(name: str) -> None:
    with ServerProcess(SERVERS[name]) as server:
        tasks = httpx.get(f"{server.url}/tasks").json()
        with server.open("/events/?channel=a") as client:
            client.named("stream-open")
            assert httpx.get(f"{server.url}/tasks").json() == tasks
            assert server.publish("a", 1)["streams"] == 1
            assert client.named("message") == 1
        assert "ERROR" not in server.log()


@pytest.mark.parametrize("name", ["django-uvicorn", "django-uvloop"])
def test_an_adopted_stream_leaves_nothing_behind_in_django(name: str) -> None:
    """A pulled one is cancelled when the server ends; an adopted one the server does not know."""
    with ServerProcess(SERVERS[name]) as server, server.open("/events/?channel=a") as client:
        client.named("stream-open")
        assert server.process is not None
        # Of a connection that uvicorn had, one descriptor would be left beside the engine's.
        sockets = [c for c in psutil.Process(server.process.pid).net_connections("tcp") if c.status == "ESTABLISHED"]
        assert len(sockets) == 1
        until(lambda: server.publish("a", 1)["streams"] == 1, "the stream is known")
        assert client.named("message") == 1


@pytest.mark.parametrize("name", ADOPTING)
def test_a_worker_is_free_while_streams_are_open(name: str) -> None:
    """One sync worker answers while many streams are open, and logs no trouble."""
    with ServerProcess(SERVERS[name]) as server:
        clients = [dial(server, "/events/?channel=a") for _ in range(30)]
        for client in clients:
            wait_for(client, b"stream-open")
        assert server.publish("a", 1)["streams"] == 30
        for client in clients:
            wait_for(client, b"data: 1\n")
            client.close()
        until(lambda: server.stats()["open"] == 0, "all are closed")
        assert server.stats()["closed"]["client"] == 30
        assert "Traceback" not in server.log(), server.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", STOPPING)
def test_a_server_stops_while_streams_are_open(name: str, number: signal.Signals) -> None:
    if name == "gunicorn-uvicorn" and number == signal.SIGINT:
        pytest.skip("uvicorn's worker does not heed it, with streams or without")
    with ServerProcess(SERVERS[name]) as server:
        clients = [dial(server, f"/events/?channel={n}") for n in range(5)]
        for client in clients:
            wait_for(client, b"stream-open")
        if "-k gthread" in server.kind.command:
            # While its main thread hands over a connection it holds a lock, for which its handler of SIGINT would wait
            # forever: gunicorn would then end only with its graceful timeout.
            server.until_idle()
        server.stop(number)
        for client in clients:
            rest(client)


@pytest.mark.parametrize("name", ["uvicorn-h11", "uvicorn-httptools", "uvicorn-uvloop", "uvicorn-pull"])
def test_a_stream_that_is_opened_while_its_server_stops_asks_the_client_to_come_back(name: str) -> None:
    with ServerProcess(SERVERS[name]) as server:
        clients = [dial(server, "/decided-late") for _ in range(5)]
        until(lambda: httpx.get(f"{server.url}/late").json() == 5, "they are asked for")
        server.stop()
        for client in clients:
            assert b"retry:" in rest(client)


@pytest.mark.parametrize(
    "name", ["uvicorn-httptools", "uvicorn-pull", "gunicorn-sync", "gunicorn-pull", "gunicorn-uvicorn", "django-pull"]
)
def test_a_client_is_asked_to_come_back(name: str) -> None:
    with ServerProcess(SERVERS[name]) as server:
        client = dial(server, "/events/?channel=a")
        wait_for(client, b"stream-open")
        server.stop()
        assert b"retry:" in rest(client)


@pytest.mark.parametrize("name", COMPRESSED)
def test_bytes_that_middleware_changes_are_left_to_it(name: str) -> None:
    with ServerProcess(COMPRESSED[name]) as server:
        headers = {"Accept-Encoding": "gzip"}
        with httpx.stream("GET", f"{server.url}/events/?channel=a", headers=headers, timeout=10) as response:
            assert response.headers["content-encoding"] == "gzip"
            raw = response.iter_raw()
            unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
            text = b""
            while b"stream-open" not in text:
                text += unzip.decompress(next(raw))
            server.publish("a", "squeezed")
            while b"squeezed" not in text:
                text += unzip.decompress(next(raw))


@pytest.mark.parametrize("name", TLS)
def test_streams_over_tls(name: str) -> None:
    with ServerProcess(TLS[name]) as server:
        with server.open("/events/?channel=a", http2=True) as client:
            assert client.response.http_version == ("HTTP/2" if name == "hypercorn" else "HTTP/1.1")
            client.named("stream-open")
            for n in range(3):
                assert server.publish("a", n)["streams"] == 1
                assert client.named("message") == n
        until(lambda: server.stats()["open"] == 0, "the stream is closed")


@pytest.mark.parametrize("name", UNCOMPRESSED)
def test_the_middleware_of_django_does_not_compress(name: str) -> None:
    with ServerProcess(UNCOMPRESSED[name]) as server:
        with server.open("/events/?channel=a", Accept_Encoding="gzip") as client:
            assert "content-encoding" not in client.response.headers
            client.named("stream-open")
            assert server.publish("a", "x")["streams"] == 1
            assert client.named("message") == "x"
        stats = httpx.get(f"{server.url}/events/", headers={"Accept-Encoding": "gzip"})
        assert "stream-error" in stats.text


@pytest.mark.parametrize("name", ["uvicorn-pull", "hypercorn", "granian", "django-daphne"])
def test_clients_that_do_not_read_cost_no_memory(name: str) -> None:
    """Beyond what the history keeps once."""
    with ServerProcess(SERVERS[name]) as server:
        dead = [dial(server, "/events/?channel=a", buffer=4_096) for _ in range(5)]
        until(lambda: server.stats()["open"] == 5, "they are open")
        before = usage(server)[1]
        for n in range(40):
            server.publish("a", f"{n} {'x' * 500_000}")
        server.publish("b", "when this has come, what came before has been offered")
        until(lambda: server.stats()["open"] == 5, "they are open still")
        assert usage(server)[1] < before + 3 * 20_000_000
        for client in dead:
            client.close()


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("uvicorn-uvloop", 10_000),
        ("uvicorn-pull", 1_000),
        ("gunicorn-sync", 10_000),
        ("django-uvicorn", 1_000),
        ("werkzeug", 1_000),
    ],
)
def test_coming_and_going_leaves_nothing_behind(name: str, times: int) -> None:
    with ServerProcess(SERVERS[name]) as server:
        come_and_go(server, times // 10)
        before = usage(server)
        come_and_go(server, times)
        after = until(lambda: (now := usage(server))[0] <= before[0] + 3 and now, "descriptors are closed")
        assert after[1] < before[1] + 8_000_000, f"memory went from {before[1]} to {after[1]} bytes"


def come_and_go(server: ServerProcess, times: int) -> None:
    for n in range(times):
        client = dial(server, f"/events/?channel=c{n % 100}")
        if n % 3:
            wait_for(client, b"stream-open")
        client.close()
    until(lambda: server.stats()["open"] == 0, "all are closed")


def usage(server: ServerProcess) -> tuple[int, int]:
    """Open descriptors and private memory, of the server and its children."""
    assert server.process is not None
    root = psutil.Process(server.process.pid)
    processes = [root, *root.children(recursive=True)]
    return sum(p.num_fds() for p in processes), sum(p.memory_full_info().uss for p in processes)
