"""Metrics and health: as text, on the own server, and in registries of prometheus_client."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support import GUNICORN, Kind, ServerProcess, open_stream, until

from evstream import ConfigError, Events, HttpRequest, InvalidError
from evstream.prometheus import EventsCollector, install

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse(text: str) -> Series:
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


def value(text: str, name: str, **labels: str) -> float:
    return parse(text)[name, tuple(sorted(labels.items()))]


def test_metrics_as_text() -> None:
    with Events() as events:
        events.publish("a", "x")
        for openmetrics in (False, True):
            text = events.metrics(openmetrics=openmetrics)
            assert "\nevstream_events_published_total 1\n" in text
            assert text.endswith("# EOF\n") == openmetrics


def test_health() -> None:
    events = Events()
    health = events.health()
    assert (health.ready, health.live, health.problems) == (True, True, [])
    events.close()
    health = events.health()
    assert (health.ready, health.live, health.problems) == (False, True, ["the events are closed, or about to be"])


def test_the_own_server_has_paths_for_both() -> None:
    def may_know(request: HttpRequest) -> bool:
        return request.headers.get("authorization") == "Bearer secret"

    with Events() as events:
        with events.serve(metrics="/metrics", health=("/healthz", may_know)) as server:
            url = f"http://{server.address}"
            accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
            assert value(httpx.get(f"{url}/metrics").text, "evstream_streams") == 0
            assert httpx.get(f"{url}/metrics", headers=accept).text.endswith("# EOF\n")
            assert httpx.get(f"{url}/healthz").status_code == 403
            answer = httpx.get(f"{url}/healthz", headers={"Authorization": "Bearer secret"})
            assert (answer.status_code, answer.json()) == (200, {"ready": True, "live": True, "problems": []})
        with pytest.raises(ConfigError, match="needs an authorize function"):
            events.serve("0.0.0.0", metrics="/metrics")
        events.serve("0.0.0.0", metrics=("/metrics", may_know)).close()
        for wrong in (1, ("/metrics",), ("/metrics", 1), b"/metrics"):
            with pytest.raises(InvalidError, match="metrics takes a path"):
                events.serve(metrics=wrong)  # type: ignore[arg-type]


def test_a_registry_tells_what_the_events_tell() -> None:
    with Events() as events, events.serve() as server:
        registry = CollectorRegistry()
        assert isinstance(install(events, registry), EventsCollector)
        with open_stream(f"http://{server.address}/events/?channel=a") as client:
            client.named("stream-open")
            until(lambda: events.stats()["open"] == 1, "the stream is there")
            events.publish("a", "x")
            assert client.next().data == '"x"'
            until(lambda: events.stats()["deliveries"] == 1, "it is counted")
            assert parse(generate_latest(registry).decode()) == parse(events.metrics())
        with pytest.raises(InvalidError, match="evstream already"):
            install(events, registry)
        with pytest.raises(InvalidError, match="interval takes"):
            install(events, CollectorRegistry(), interval=0)


SHARED = """
import os, sys, time
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from evstream import Events
from evstream.prometheus import Feeder, install

def told():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}

def own(events):
    families = text_string_to_metric_families(events.metrics())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}

events = Events()
feeder = install(events, interval=3600.0)
assert isinstance(feeder, Feeder)
with events.serve() as server:
    import httpx
    with httpx.stream("GET", f"http://{server.address}/events/?channel=a") as response:
        chunks = response.iter_text()
        next(chunks)
        for _ in range(20):
            events.publish("a", "x")
            next(chunks)
        # The client has an event before the thread that wrote it has counted that.
        deadline = time.monotonic() + 30
        while told() != own(events) and time.monotonic() < deadline:
            feeder.feed()
        feeder.feed()
        feeder.feed()  # tells nothing twice
        assert told() == own(events), (told(), own(events))
        assert told()["evstream_delivery_seconds_count", ()] > 0
        events.publish("a", "x")
        child = os.fork()
        if child == 0:
            events.publish("b", "y")
            feeder.feed()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        feeder.feed()
        both = told()
        assert both["evstream_events_published_total", ()] == 22, both
        assert both["evstream_streams", ()] == 1
        before = {key: value for key, value in both.items() if key[0].endswith(("_total", "_count", "_bucket"))}
events.close()
feeder.close()
after = told()
assert all(after[key] >= value for key, value in before.items())
assert after["evstream_streams", ()] == 0
print("well")
"""


def test_processes_are_added_up(tmp_path: Path) -> None:
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    script = [sys.executable, "-W", "ignore", "-c", SHARED]
    done = subprocess.run(script, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


@pytest.mark.parametrize("preload", ["", "--preload"])
def test_workers_of_gunicorn_are_added_up(tmp_path: Path, preload: str) -> None:
    command = f"{GUNICORN} -k gthread --threads 20 -w 4 {preload} -c python:metrics_conf metrics_app:app"
    with ServerProcess(Kind(command), PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) as server:
        seen: Series = {}

        def get(name: str, **labels: str) -> float:
            text = httpx.get(f"{server.url}/metrics", timeout=15).text
            for key, now in parse(text).items():
                if key[0].endswith(("_total", "_count", "_bucket", "_sum")):
                    assert now >= seen.get(key, 0.0), (key, now, seen)
                    seen[key] = now
            return value(text, name, **labels)

        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.open("/events/?channel=a")) for _ in range(16)]
            for client in clients:
                client.named("stream-open")
            until(lambda: get("evstream_streams") == 16, "all streams are counted")
            pids = until(lambda: _workers(tmp_path, 2), "several workers have told something")
        until(lambda: get("evstream_streams_closed_total", reason="client") == 16, "and their ends")
        assert get("evstream_streams") == 0
        # What a worker has counted stays when it ends, and another takes its place.
        server.until_idle()  # else gunicorn's handler of signals may wait for a lock that its own thread has
        # With --preload the master has told something, too.
        worker = next(pid for pid in pids if server.process is None or pid != server.process.pid)
        os.kill(worker, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{worker}").exists(), "the worker is gone")
        with server.open("/events/?channel=a") as client:
            client.named("stream-open")
            until(lambda: get("evstream_streams") == 1, "a new stream is counted")
        assert get("evstream_streams_opened_total") == 17


def _workers(folder: Path, least: int) -> list[int]:
    """The processes that have written counters."""
    pids = [int(file.stem.rpartition("_")[2]) for file in folder.glob("counter_*.db")]
    alive = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    return alive if len(alive) >= least else []
