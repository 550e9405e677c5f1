"""The examples, as their users start them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support import Client, open_stream

EXAMPLES = Path(__file__).parents[3] / "examples"


@contextlib.contextmanager
def start(path: str) -> Iterator[str]:
    """Starts an example, and sees that Ctrl-C ends it at once and well."""
    process = subprocess.Popen(
        [sys.executable, "main.py"],
        cwd=EXAMPLES / path,
        env={**os.environ, "PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"Listening on (http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())
        assert found
        yield found[1]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=5)
        assert (process.returncode, "Traceback" in errors) == (0, False), errors
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("framework", ["fastapi", "flask", "django"])
def test_the_clock(framework: str) -> None:
    with start(f"basic/python-{framework}") as url:
        page = httpx.get(url)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert httpx.get(f"{url}app.js").headers["content-type"] == "text/javascript; charset=utf-8"
        assert httpx.get(f"{url}nothing").status_code == 404
        with open_stream(f"{url}events/?channel=clock&channel=messages") as client:
            client.named("stream-open")
            time = client.named("time")["time"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
            assert httpx.post(f"{url}messages/", json={"text": "as JSON"}).status_code == 200
            assert httpx.post(f"{url}messages/", data={"text": "as a form"}).status_code == 200
            refused = httpx.post(f"{url}messages/", json={"text": ""})
            assert refused.status_code == 400
            assert refused.json()["error"]
            assert next_message(client) == "as JSON"
            assert next_message(client) == "as a form"


def test_the_chat() -> None:
    with start("chat-python") as url, httpx.Client(base_url=url) as alice, httpx.Client(base_url=url) as bob:
        assert alice.post("/rooms/lobby/messages", json={"text": "x"}).status_code == 401
        with open_stream(f"{url}rooms/lobby/events") as stranger:
            assert stranger.named("stream-error")["text"] == "please choose a name first"
        alice.post("/session", json={"name": "alice"}).raise_for_status()
        bob.post("/session", json={"name": "bob"}).raise_for_status()
        with open_stream(f"{url}rooms/private-1/events", {"Cookie": cookie(bob)}) as client:
            assert client.named("stream-error")["text"] == "join the room first"
        assert bob.post("/rooms/private-1/messages", json={"text": "x"}).status_code == 403
        for who in (alice, bob):
            who.post("/rooms/private-1/members").raise_for_status()
        with open_stream(f"{url}rooms/private-1/events", {"Cookie": cookie(bob)}) as client:
            client.named("stream-open")
            first = alice.post("/rooms/private-1/messages", json={"text": "hello"}).json()["id"]
            assert client.named("said") == {"name": "alice", "text": "hello"}
        alice.post("/rooms/private-1/messages", json={"text": "missed"}).raise_for_status()
        headers = {"Cookie": cookie(bob), "Last-Event-ID": first}
        with open_stream(f"{url}rooms/private-1/events", headers) as client:
            client.named("stream-open")
            assert client.named("said")["text"] == "missed"
        assert alice.post("/rooms/UP/messages", json={"text": "x"}).status_code == 422


def next_message(client: Client) -> str:
    while (event := client.next()).event != "message":
        pass
    text: str = event.json()["text"]
    return text


def cookie(client: httpx.Client) -> str:
    return f"session={client.cookies['session']}"
