"""Servers that load their application anew while streams are open."""

from __future__ import annotations

import dataclasses
import os
import re
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from support import (
    APPS,
    GUNICORN,
    PULL,
    SERVERS,
    START_TIMEOUT_S,
    UVICORN,
    Kind,
    ServerProcess,
    dial,
    rest,
    until,
    wait_for,
)

# With the file that is changed in `{folder}`.
BY_CHANGE = {
    "uvicorn": Kind(f"{UVICORN} --reload --reload-dir {{folder}} fastapi_changed:app"),
    "uvicorn-pull": Kind(f"{UVICORN} --reload --reload-dir {{folder}} fastapi_changed:app", PULL),
    "hypercorn": Kind("-m hypercorn --reload -b 127.0.0.1:{port} fastapi_changed:app"),
    "granian": Kind("-m granian --reload --reload-paths {folder} --interface asgi --port {port} fastapi_changed:app"),
    "gunicorn-sync": Kind(f"{GUNICORN} --reload -k sync flask_changed:app"),
    "gunicorn-gthread": Kind(f"{GUNICORN} --reload -k gthread --threads 4 flask_changed:app"),
    "gunicorn-gevent": Kind(f"{GUNICORN} --reload -k gevent flask_changed:app"),
    "werkzeug": Kind("-m flask --app flask_changed run --debug --port {port}"),
    "django-runserver": Kind("-m django_changed {port}"),
}
CHANGED = {
    "fastapi_changed.py": "from fastapi_app import app\n",
    "flask_changed.py": "from flask_app import app\n",
    "django_changed.py": "import sys, django_app\nfrom django.core.management import execute_from_command_line as run\n"
    "if __name__ == '__main__':\n    run(['manage.py', 'runserver', *sys.argv[1:]])\n",
}
UNNOTICED_S = 5  # reloaders look once a second
BY_SIGNAL = ["gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent", "gunicorn-uvicorn", "gunicorn-pull"]


@pytest.mark.parametrize("name", BY_CHANGE)
def test_streams_follow_a_change(tmp_path: Path, name: str) -> None:
    kind = BY_CHANGE[name]
    for file, text in CHANGED.items():
        (tmp_path / file).write_text(text)
    command = kind.command.format(folder=tmp_path, port="{port}")
    path = os.pathsep.join([str(tmp_path), str(APPS)])

    def change(server: ServerProcess, client: socket.socket) -> None:
        for file in tmp_path.iterdir():
            file.write_text(file.read_text() + "# changed\n")
        # A reloader that looks at a file for the first time after that does not know that it has changed.
        if not select.select([client], [], [], UNNOTICED_S)[0]:
            change(server, client)

    follow(dataclasses.replace(kind, command=command, env=kind.env | {"PYTHONPATH": path}), change)


@pytest.mark.parametrize("name", BY_SIGNAL)
def test_streams_follow_a_signal(name: str) -> None:
    def hang_up(server: ServerProcess, _: socket.socket) -> None:
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGHUP)

    follow(SERVERS[name], hang_up)


def follow(kind: Kind, reload: Callable[[ServerProcess, socket.socket], None]) -> None:
    """A client is asked to come back when the server reloads, and finds the new process."""
    with ServerProcess(kind) as server:
        client = dial(server, "/events/?channel=a")
        before = epoch(wait_for(client, b"\n\n"))
        reload(server, client)
        assert b"retry:" in rest(client), server.log()
        client = until(lambda: renewed(server, before), "the new process answers", START_TIMEOUT_S)
        assert server.publish("a", 1)["streams"] == 1
        wait_for(client, b"data: 1\n")
        client.close()
        assert "Traceback" not in server.log(), server.log()


def renewed(server: ServerProcess, before: bytes) -> socket.socket | None:
    """A stream of a new process. The old one may still take requests; once it has opened a stream, it says its last
    words to it."""
    read = b""
    try:
        client = dial(server, "/events/?channel=a")
        while b"\n\n" not in read:
            some = client.recv(65_536)
            if not some:
                client.close()
                return None
            read += some
    except (ConnectionRefusedError, ConnectionResetError):
        return None
    if b"event: stream-close" in read:
        client.close()
        return None
    if epoch(read) != before:
        return client
    assert b"retry:" in rest(client)
    return None


def epoch(read: bytes) -> bytes:
    """That of the process which sent this, from the id of an event."""
    found = re.search(rb"id: ([0-9a-f]{8})-", read)
    assert found, read
    return found[1]
