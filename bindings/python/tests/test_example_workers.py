"""The example of several workers: one application, whoever serves and whoever publishes."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from support import READ_TIMEOUT_S, START_TIMEOUT_S, Client, Kind, ServerProcess, open_stream, until

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "workers"
WORKERS = 4
COMMANDS = {
    "gunicorn": f"-m gunicorn -b 127.0.0.1:{{port}} -w {WORKERS} --chdir {EXAMPLE} wsgi:app",
    "uvicorn": f"-m uvicorn --port {{port}} --workers {WORKERS} --app-dir {EXAMPLE} asgi:app",
}
CONNECTIONS = 4
POSTS = 10


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_every_stream_has_what_any_process_publishes(command: str, tmp_path: Path) -> None:
    journal = f"file:{tmp_path}/events"
    with ServerProcess(Kind(command, {"EVSTREAM_JOURNAL": journal})) as server, contextlib.ExitStack() as open_ones:
        page = httpx.get(server.url, timeout=READ_TIMEOUT_S)
        assert re.search(r"Process \d+ has sent this page", page.text)
        streams = open_at_every_worker(server, open_ones)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            posted = list(itertools.chain(*pool.map(lambda who: post(server, who), range(CONNECTIONS))))
        # They have places in one order, in which what was posted after an answer comes after it.
        expected = [text for _, text in sorted(posted)]
        for who in range(CONNECTIONS):
            own = [text for text in expected if text.startswith(f"{who}-")]
            assert own == [f"{who}-{number}" for number in range(POSTS)]
        run("publisher.py", "5", journal=journal)
        run("cron.py", "a minute has passed", journal=journal)
        expected += [f"step {step} of 5 is done" for step in range(1, 6)] + ["a minute has passed"]

        first = messages(streams[0], len(expected))
        assert [text for _, text in first] == expected
        assert first[: len(posted)] == sorted(posted)
        for stream in streams[1:]:
            assert messages(stream, len(expected)) == first

        # And whoever comes back to another worker has the rest.
        middle = len(expected) // 2
        for stream in open_at_every_worker(server, open_ones, Last_Event_ID=first[middle][0]):
            assert messages(stream, len(expected) - middle - 1) == first[middle + 1 :]


@pytest.mark.parametrize("arguments", [("publisher.py",), ("cron.py", "a minute has passed")])
def test_a_program_that_nobody_hears_says_so(arguments: tuple[str, ...]) -> None:
    ended = start(*arguments, journal="none")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "EVSTREAM_JOURNAL is not set" in ended.stderr


def test_run_workers_leaves_nothing_behind(tmp_path: Path) -> None:
    env = {**os.environ, "PORT": "0", "VENV": sys.prefix, "TMPDIR": str(tmp_path)}
    script = subprocess.Popen(
        ["scripts/run-workers"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert script.stdout is not None
        found = re.fullmatch(r"Listening on (http://127\.0\.0\.1:\d+/)\n", script.stdout.readline())
        assert found
        until(lambda: len(of_session(script.pid)) == 1 + WORKERS, "gunicorn has its workers", START_TIMEOUT_S)
        with open_stream(f"{found[1]}events/") as client:
            client.named("stream-open")
            httpx.post(f"{found[1]}messages", json={"text": "hi"}, timeout=READ_TIMEOUT_S).raise_for_status()
            assert client.named("message")["text"] == "hi"
            assert list(tmp_path.glob("*/events")), "the journal"
            os.killpg(script.pid, signal.SIGINT)  # as a terminal does
            assert client.named("stream-close")["reason"] == "shutdown"
            script.communicate(timeout=5)
        assert script.returncode == 0
        assert of_session(script.pid) == []
        assert list(tmp_path.iterdir()) == []
    finally:
        for process in of_session(script.pid):
            process.kill()
        script.kill()
        script.communicate()


def open_at_every_worker(server: ServerProcess, stack: contextlib.ExitStack, **headers: str) -> list[Client]:
    """Streams, of which each worker has one at least: who gets a connection is for the system to say."""
    streams: list[Client] = []

    def open_one(_: int) -> None:
        client = stack.enter_context(server.open("/events/", **headers))
        client.named("stream-open")
        streams.append(client)

    def all_have_one() -> bool:
        with ThreadPoolExecutor(2 * WORKERS) as pool:
            list(pool.map(open_one, range(2 * WORKERS)))
        return len({stream.response.headers["x-pid"] for stream in streams}) == WORKERS

    until(all_have_one, "every worker has a stream", START_TIMEOUT_S)
    return streams


def post(server: ServerProcess, who: int) -> list[tuple[str, str]]:
    """Posts one message after the other, each on a connection of its own; gives the places of their texts."""
    posted = []
    for number in range(POSTS):
        text = f"{who}-{number}"
        answer = httpx.post(f"{server.url}/messages", json={"text": text}, timeout=READ_TIMEOUT_S)
        assert answer.status_code == 201, answer.text
        posted.append((answer.json()["id"], text))
    return posted


def messages(client: Client, count: int) -> list[tuple[str, str]]:
    """The places and texts of the next messages, with nothing but keep-alives between them."""
    found: list[tuple[str, str]] = []
    while len(found) < count:
        event = client.next()
        if event.event != "keep-alive":
            assert event.event == "message", event
            found.append((event.id, event.json()["text"]))
    return found


def run(*arguments: str, journal: str) -> None:
    ended = start(*arguments, journal=journal)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def start(*arguments: str, journal: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "EVSTREAM_JOURNAL": journal}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=EXAMPLE, env=env, capture_output=True, text=True, timeout=START_TIMEOUT_S)


def of_session(leader: int) -> list[psutil.Process]:
    """All that a program has started, and that has not ended, but for itself."""
    return [
        process
        for process in psutil.process_iter()
        if process.pid != leader and session(process) == leader and lives(process)
    ]


def lives(process: psutil.Process) -> bool:
    """Not so when it has ended, and the system's first process has yet to take note of it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def session(process: psutil.Process) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return None
