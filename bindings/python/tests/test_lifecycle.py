"""Adoption, the end of servers, and clients that misbehave."""

from __future__ import annotations

import signal
import socket
import zlib
from pathlib import Path

import httpx
import psutil
import pytest
from support import COMPRESSED, SERVERS, TLS, UNCOMPRESSED, UVICORN, Kind, ServerProcess, until

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
            wait_for(client, b"data: 1\n\n")
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
            until(lambda: httpx.get(f"{server.url}/resting").json(), "the main thread waits")
        server.stop(number)
        for client in clients:
            rest(client)


@pytest.mark.parametrize("env", [{}, {"ADOPT": "0"}], ids=["adopted", "pulled"])
def test_uvicorn_reloads_while_streams_are_open(tmp_path: Path, env: dict[str, str]) -> None:
    source = tmp_path / "reloaded.py"
    source.write_text("from fastapi_app import app\n")
    kind = Kind(f"{UVICORN} --reload --reload-dir {tmp_path} --app-dir {tmp_path} reloaded:app", env)
    with ServerProcess(kind) as server:
        client = dial(server, "/events/?channel=a")
        wait_for(client, b"stream-open")
        before = server.publish("a", 1)["id"]
        source.write_text("from fastapi_app import app\n# changed\n")
        assert b"retry:" in rest(client)
        client = dial(server, "/events/?channel=a")
        wait_for(client, b"stream-open")
        assert server.publish("a", 1)["id"][:8] != before[:8]
        server.stop()
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


@pytest.mark.parametrize("name", ["uvicorn-httptools", "uvicorn-pull", "gunicorn-sync", "django-uvicorn"])
def test_a_client_that_does_not_read_holds_up_nobody(name: str) -> None:
    with ServerProcess(SERVERS[name], WRITE_TIMEOUT_MS="500") as server:
        dead = dial(server, "/events/?channel=a", buffer=4_096)
        with server.open("/events/?channel=a") as healthy:
            healthy.named("stream-open")
            until(lambda: server.stats()["open"] == 2, "both are open")
            for n in range(60):
                server.publish("a", f"{n} {'x' * 100_000}")
                assert healthy.named("message").startswith(f"{n} ")
            if server.kind.adopts:
                until(lambda: server.stats()["closed"]["write-timeout"] == 1, "the dead one is closed")
        dead.close()
        until(lambda: server.stats()["open"] == 0, "all are closed")


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
        client = dial(server, f"/events/?channel=c{n}")
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


def dial(server: ServerProcess, path: str, buffer: int = 0) -> socket.socket:
    client = socket.socket()
    if buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.settimeout(15)
    client.connect(("127.0.0.1", server.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def wait_for(client: socket.socket, end: bytes) -> None:
    read = b""
    while end not in read:
        some = client.recv(65_536)
        assert some, f"the connection ended after {read!r}"
        read += some


def rest(client: socket.socket) -> bytes:
    """What comes until the connection ends."""
    read = b""
    try:
        while some := client.recv(65_536):
            read += some
    except ConnectionResetError:
        pass
    client.close()
    return read
