"""Servers under test, and clients."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import trustme
from httpx_sse import ServerSentEvent, connect_sse

APPS = Path(__file__).parent / "apps"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
READ_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Kind:
    """How a server is started."""

    command: str
    env: dict[str, str] = field(default_factory=dict)
    adopts: bool = True
    """Whether it leaves the sockets of streams to the engine."""
    tls: bool = False
    """Whether it is given a `{key}` and a `{certificate}`."""


UVICORN = "-m uvicorn --port {port} --no-use-colors"
DAPHNE = "-m daphne -p {port} --application-close-timeout 60"
GUNICORN = "-m gunicorn -b 127.0.0.1:{port} --graceful-timeout 60"
UWSGI = "uwsgi --http-socket 127.0.0.1:{port} --master --enable-threads --threads 20 --die-on-term --need-app"
ASGI = {"INTERFACE": "asgi"}
PULL = {"ADOPT": "0"}
GZIP = {"GZIP": "1"}
SERVERS = {
    "uvicorn-h11": Kind(f"{UVICORN} --http h11 --loop asyncio fastapi_app:app"),
    "uvicorn-httptools": Kind(f"{UVICORN} --http httptools --loop asyncio fastapi_app:app"),
    "uvicorn-uvloop": Kind(f"{UVICORN} --http httptools --loop uvloop fastapi_app:app"),
    "uvicorn-pull": Kind(f"{UVICORN} --loop uvloop fastapi_app:app", PULL, adopts=False),
    "uvicorn-wrapped": Kind(f"{UVICORN} --loop uvloop fastapi_app:app", {"WRAP": "1"}, adopts=False),
    "hypercorn": Kind("-m hypercorn -b 127.0.0.1:{port} fastapi_app:app", adopts=False),
    "hypercorn-trio": Kind("-m hypercorn -k trio -b 127.0.0.1:{port} fastapi_app:app", adopts=False),
    "granian": Kind("-m granian --interface asgi --port {port} fastapi_app:app", adopts=False),
    "gunicorn-sync": Kind(f"{GUNICORN} -k sync flask_app:app"),
    "gunicorn-gthread": Kind(f"{GUNICORN} -k gthread --threads 2 flask_app:app"),
    "gunicorn-preload": Kind(f"{GUNICORN} -k sync --preload flask_app:app"),
    "gunicorn-gevent": Kind(f"{GUNICORN} -k gevent flask_app:app", adopts=False),
    "uwsgi": Kind(f"{UWSGI} --module flask_app:app", adopts=False),
    "gunicorn-uvicorn": Kind(f"{GUNICORN} -k uvicorn.workers.UvicornWorker fastapi_app:app"),
    "gunicorn-pull": Kind(f"{GUNICORN} -k gthread --threads 20 flask_app:app", PULL, adopts=False),
    "werkzeug": Kind("flask_app.py"),
    "django-runserver": Kind("django_app.py --noreload"),
    "django-gunicorn": Kind(f"{GUNICORN} -k sync django_app:application"),
    "django-uvicorn": Kind(f"{UVICORN} --loop asyncio --http h11 django_app:application", ASGI),
    "django-uvloop": Kind(f"{UVICORN} --loop uvloop django_app:application", ASGI),
    "django-hypercorn": Kind("-m hypercorn -b 127.0.0.1:{port} django_app:application", ASGI, adopts=False),
    "django-daphne": Kind(f"{DAPHNE} django_app:application", ASGI, adopts=False),
    "django-pull": Kind(f"{GUNICORN} -k gthread --threads 20 django_app:application", PULL, adopts=False),
}
TLS = {
    "uvicorn": Kind(f"{UVICORN} --ssl-keyfile {{key}} --ssl-certfile {{certificate}} fastapi_app:app", tls=True),
    "gunicorn": Kind(
        f"{GUNICORN} -k gthread --threads 20 --keyfile {{key}} --certfile {{certificate}} flask_app:app", tls=True
    ),
    "hypercorn": Kind(
        "-m hypercorn -b 127.0.0.1:{port} --keyfile {key} --certfile {certificate} fastapi_app:app", tls=True
    ),
}
COMPRESSED = {
    "uvicorn": Kind(f"{UVICORN} fastapi_app:app", GZIP, adopts=False),
    "gunicorn": Kind(f"{GUNICORN} -k gthread --threads 20 flask_app:app", GZIP, adopts=False),
}
UNCOMPRESSED = {
    "django-uvicorn": Kind(f"{UVICORN} django_app:application", ASGI | GZIP),
    "django-gunicorn": Kind(f"{GUNICORN} -k sync django_app:application", GZIP),
}


class ServerProcess:
    """A server, from entering the context to leaving it."""

    def __init__(self, kind: Kind, **env: str) -> None:
        self.kind = kind
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(APPS), **kind.env, **env}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed on leaving
        self._folder = Path(tempfile.mkdtemp())
        self._verify: ssl.SSLContext | bool = self._certify() if kind.tls else True
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> ServerProcess:
        for _ in range(3):  # another program may take the port in between
            self.port = free_port()
            key, certificate = self._folder / "key", self._folder / "certificate"
            words = self.kind.command.format(port=self.port, key=key, certificate=certificate)
            program, *rest = words.split()
            # One of the environment's programs, or of the interpreter's.
            uwsgi = [str(Path(sys.executable).with_name(program)), *rest]
            command = uwsgi if program == "uwsgi" else [sys.executable, program, *rest]
            env = {**self._env, "PORT": str(self.port)}
            self.process = subprocess.Popen(
                command, cwd=APPS, env=env, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
            )
            if self._is_up():
                return self
            self._kill()
        raise AssertionError(f"{self.kind.command} did not start:\n{self.log()}")

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._log.close()
        shutil.rmtree(self._folder)

    @property
    def url(self) -> str:
        return f"{'https' if self.kind.tls else 'http'}://127.0.0.1:{self.port}"

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Asks it to stop, and waits until it has; well before it would end what holds it up."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.kind.command} did not stop:\n{self.log()}") from None

    def until_idle(self) -> None:
        """Waits until no main thread of its processes has had anything to do for a while."""
        assert self.process is not None
        processes = [server := psutil.Process(self.process.pid), *server.children()]
        until(lambda: not any(map(is_busy, processes)), "the main threads wait")

    def publish(self, channel: str, data: Any) -> dict[str, Any]:
        response = httpx.post(f"{self.url}/publish/{channel}", json=data, timeout=READ_TIMEOUT_S, verify=self._verify)
        assert response.status_code == 200, response.text
        receipt: dict[str, Any] = response.json()
        return receipt

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = httpx.get(f"{self.url}/stats", timeout=READ_TIMEOUT_S, verify=self._verify).json()
        return stats

    def open(self, path: str, *, http2: bool = False, **headers: str) -> contextlib.AbstractContextManager[Client]:
        return open_stream(self.url + path, headers, verify=self._verify, http2=http2)

    def _is_up(self) -> bool:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{self.url}/stats", timeout=5, verify=self._verify)
                return True
            time.sleep(0.05)
        return False

    def _certify(self) -> ssl.SSLContext:
        """Makes a key and a certificate; gives what trusts them."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(self._folder / "key")
        issued.cert_chain_pems[0].write_to_path(self._folder / "certificate")
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    def _kill(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Client:
    """A client of a stream that has got its answer."""

    def __init__(self, response: httpx.Response, events: Iterator[ServerSentEvent]) -> None:
        self.response = response
        self._events = events

    def next(self) -> ServerSentEvent:
        return next(self._events)

    def named(self, name: str) -> Any:
        """The data of the next event, which must be called so."""
        event = self.next()
        assert event.event == name, event
        return json.loads(event.data)

    def rest(self) -> list[ServerSentEvent]:
        return list(self._events)


@contextlib.contextmanager
def open_stream(
    url: str, headers: dict[str, str] | None = None, *, verify: ssl.SSLContext | bool = True, http2: bool = False
) -> Iterator[Client]:
    headers = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    with (
        httpx.Client(timeout=READ_TIMEOUT_S, trust_env=False, verify=verify, http2=http2) as http,
        connect_sse(http, "GET", url, headers=headers) as source,
    ):
        yield Client(source.response, source.iter_sse())


def dial(server: ServerProcess, path: str, buffer: int = 0) -> socket.socket:
    client = socket.socket()
    if buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.settimeout(15)
    client.connect(("127.0.0.1", server.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
    return client


def wait_for(client: socket.socket, end: bytes) -> bytes:
    """Reads until this has come, and gives what was read."""
    read = b""
    while end not in read:
        some = client.recv(65_536)
        assert some, f"the connection ended after {read!r}"
        read += some
    return read


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


def is_busy(process: psutil.Process) -> bool:
    before = process.num_ctx_switches()
    time.sleep(0.1)  # for nothing to happen in
    return process.num_ctx_switches() != before


def until(condition: Any, what: str, timeout_s: float = READ_TIMEOUT_S) -> Any:
    """Waits until `condition()` is true, and gives its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
        time.sleep(0.02)
    return value


def free_port() -> int:
    """One that the system gives nobody who does not ask for it."""
    while True:
        port = random.randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


class Redis:
    """A Redis of its own, from entering the context to leaving it; it may be stopped and started meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        options = {"port": self._port, "bind": "127.0.0.1", "save": "", "appendonly": "yes", "appendfsync": "always"}
        command = ["redis-server", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        until(self._is_up, "Redis starts")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def send_signal(self, number: int) -> None:
        """SIGSTOP, after which it answers nobody, or SIGCONT."""
        assert self._process is not None
        self._process.send_signal(number)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "redis-server has ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=5) as client:
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        return False

    def __enter__(self) -> Redis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
