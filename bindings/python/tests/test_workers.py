"""Several workers, which do not see each other's events."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Kind, ServerProcess, until


@pytest.mark.parametrize(
    ("command", "env", "told"),
    [
        ("-m uvicorn --port {port} fastapi_app:app --workers 2", {}, True),
        ("-m uvicorn --port {port} fastapi_app:app", {"WEB_CONCURRENCY": "2"}, True),
        ("-m uvicorn --port {port} fastapi_app:app", {}, False),
        ("-m gunicorn -b 127.0.0.1:{port} flask_app:app -w 2", {}, True),
        ("-m gunicorn -b 127.0.0.1:{port} flask_app:app", {}, False),
        ("-m hypercorn -b 127.0.0.1:{port} fastapi_app:app -w 2", {}, True),
        ("-m granian --port {port} --interface asgi fastapi_app:app --workers 2", {}, True),
        ("uwsgi --http-socket 127.0.0.1:{port} --master --threads 9 -p 2 --module flask_app:app", {}, True),
    ],
)
def test_workers_that_do_not_see_each_other_are_told(command: str, env: dict[str, str], told: bool) -> None:
    with ServerProcess(Kind(command, env)) as server, server.open("/events/?channel=a") as client:
        client.named("stream-open")
        if told:
            until(lambda: "this is one of 2 workers" in server.log(), "it is told")
        else:
            assert "workers, and each has" not in server.log()


@pytest.mark.parametrize("address", ["file:{folder}/events", "none", ""])
def test_workers_with_a_journal_are_one(address: str, tmp_path: Path) -> None:
    """And else a journal is what is advised."""
    kind = Kind("-m gunicorn -b 127.0.0.1:{port} flask_app:app -w 2", {})
    with ServerProcess(kind, EVSTREAM_JOURNAL=address.format(folder=tmp_path)) as server:
        with server.open("/events/?channel=a") as client:
            client.named("stream-open")
        if address.startswith("file:"):
            assert "this is one of" not in server.log()
        else:
            until(lambda: 'or the setting journal="file:/run/app/events"' in server.log(), "it is told")


@pytest.mark.parametrize(("workers", "told"), [(1, False), (2, True)])
def test_workers_that_hide_each_others_events_are_told(workers: int, told: bool) -> None:
    """A proxy that checks the chain of one publisher drops what another sends."""
    kind = Kind(f"-m gunicorn -b 127.0.0.1:{{port}} flask_app:app -w {workers}", {})
    with ServerProcess(kind, GRIP_URL="http://127.0.0.1:9/") as server:
        with server.open("/events/?channel=a") as client:
            client.named("stream-open")
        if told:
            until(lambda: "is hidden by it" in server.log(), "it is told")
        else:
            assert "is hidden by it" not in server.log()


def test_a_journal_brings_the_events_of_all_workers_to_a_proxy(tmp_path: Path) -> None:
    kind = Kind("-m gunicorn -b 127.0.0.1:{port} flask_app:app -w 2", {"EVSTREAM_JOURNAL": f"file:{tmp_path}/events"})
    with ServerProcess(kind, GRIP_URL="http://127.0.0.1:9/") as server:
        with server.open("/events/?channel=a") as client:
            client.named("stream-open")
        assert "is hidden by it" not in server.log()
