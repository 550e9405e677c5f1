"""Several workers that share a journal are one: any publishes, any serves, and a client goes on in any."""

from __future__ import annotations

import logging
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest
from support import READ_TIMEOUT_S, Client, Kind, Redis, ServerProcess, until

from evstream import Events, JournalError

GUNICORN = "-m gunicorn -b 127.0.0.1:{port} -w 4 -k gthread --threads 20 --graceful-timeout 10 flask_app:app"
UVICORN = "-m uvicorn --port {port} --workers 3 fastapi_app:app"
UWSGI = (
    "uwsgi --http-socket 127.0.0.1:{port} --master --enable-threads -p 4 --threads 20 --need-app --module flask_app:app"
)
COMMANDS = {"gunicorn": GUNICORN, "gunicorn-preload": f"{GUNICORN} --preload", "uvicorn": UVICORN, "uwsgi": UWSGI}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_events_of_any_worker_reach_the_streams_of_all(command: str, tmp_path: Path) -> None:
    with ServerProcess(Kind(command, {"EVSTREAM_JOURNAL": f"file:{tmp_path}/events"})) as server:
        readers = [Reader(server) for _ in range(8)]
        for reader in readers:
            until(lambda reader=reader: reader.has_begun, "a stream begins")
        for number in range(30):
            server.publish("a", number)  # on a connection of its own, which any worker may get
        for reader in readers:
            until(lambda reader=reader: len(reader.seen) >= 30, "all events come")
            reader.stop()
            assert sorted(data for _, data in reader.seen) == sorted(str(number) for number in range(30))
            assert reader.seen == readers[0].seen, "in one order, at one place each"
        middle, _ = readers[0].seen[14]
        for _ in range(6):
            with server.open("/events/?channel=a", Last_Event_ID=middle) as client:
                client.named("stream-open")
                assert [client.next().id for _ in range(15)] == [place for place, _ in readers[0].seen[15:]]


@pytest.mark.parametrize(
    "command", [GUNICORN, f"{GUNICORN} --preload", UWSGI], ids=["gunicorn", "gunicorn-preload", "uwsgi"]
)
def test_a_reload_costs_no_client_an_event_or_a_reset(command: str, tmp_path: Path) -> None:
    journal = f"file:{tmp_path}/events"
    with ServerProcess(Kind(command, {"EVSTREAM_JOURNAL": journal})) as server, Events(journal=journal) as publisher:
        readers = [Reader(server) for _ in range(4)]
        for reader in readers:
            until(lambda reader=reader: reader.has_begun, "a stream begins")
        for number in range(100):
            publisher.publish("a", number).wait(READ_TIMEOUT_S)
            if number % 40 == 20:
                assert server.process is not None
                server.process.send_signal(signal.SIGHUP)
            time.sleep(0.05)  # not to be done before the reload has begun
        for reader in readers:
            until(lambda reader=reader: len(reader.seen) >= 100, "all events come")
            until(lambda reader=reader: reader.connections > 1, "it was closed by the reload")
            reader.stop()
            assert [data for _, data in reader.seen] == [str(number) for number in range(100)]
            assert reader.resets == 0


def test_the_log_tells_once_that_the_journal_is_gone_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture, redis: Redis
) -> None:
    caplog.set_level(logging.INFO, "evstream")
    # Or a Redis that was started again is another journal, which is told in a third line.
    with Events(journal=redis.url, journal_unfenced=True) as events, events.subscribe("a") as reader:
        events.publish("a", 1).wait(READ_TIMEOUT_S)
        assert reader.next(READ_TIMEOUT_S).json() == 1  # type: ignore[union-attr]
        for number in (2, 3):
            caplog.clear()
            redis.stop()
            until(lambda: len(caplog.messages) > 0, "the loss is told")
            receipt = events.publish("a", number)
            redis.start()
            until(lambda: len(caplog.messages) > 1, "the return is told")
            receipt.wait(READ_TIMEOUT_S)
            assert reader.next(READ_TIMEOUT_S).json() == number  # type: ignore[union-attr]
            lost, back = caplog.records
            assert (lost.name, lost.levelname, back.levelname) == ("evstream.journal.follower", "WARNING", "INFO")
            assert "the journal cannot be followed; streams stay open" in lost.getMessage()
            assert back.getMessage() == "the journal is followed again"


def test_the_log_tells_a_process_that_only_publishes(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    nowhere = f"redis+unix://{tmp_path}/nowhere"
    with Events(journal=nowhere, journal_deadline_ms=300) as events:
        with pytest.raises(JournalError):
            events.publish("a", 1).wait(READ_TIMEOUT_S)
        until(lambda: len(caplog.messages) > 0, "it is told")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "events could not be appended to the journal" in caplog.text


class Reader:
    """A client on a thread of its own, which comes back as browsers do."""

    def __init__(self, server: ServerProcess) -> None:
        self.seen: list[tuple[str, str]] = []
        self.resets = 0
        self.connections = 0
        self.has_begun = False
        self._server = server
        self._last_id = ""
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped = True

    def _run(self) -> None:
        while not self._stopped:
            try:
                with self._server.open("/events/?channel=a", Last_Event_ID=self._last_id) as client:
                    self.connections += 1
                    self._read(client)
            except httpx.TransportError:
                time.sleep(0.05)

    def _read(self, client: Client) -> None:
        while not self._stopped:
            try:
                event = client.next()
            except StopIteration:
                return
            self._last_id = event.id or self._last_id
            self.has_begun = self.has_begun or event.event == "stream-open"
            self.resets += event.event == "stream-reset"
            if event.event == "message":
                self.seen.append((event.id, event.data))
