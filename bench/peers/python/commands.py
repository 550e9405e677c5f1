"""The subject's side of the bench's protocol: see bench/README.md."""

from __future__ import annotations

import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

Publish = Callable[[str, str], object]
_published: dict[str, int] = {}


def ready(address: str, path: str) -> None:
    """Says that streams are served."""
    print(f"READY {address} {path}", flush=True)


def obey_in_thread(publish: Publish, stdin: TextIO | None = None) -> None:
    """Obeys commands on a thread of its own, and ends the process with them. `publish` is called there, with the name
    of a channel and the data of an event called `message`."""
    threading.Thread(target=_obey, args=(publish, stdin or sys.stdin), daemon=True).start()


def _obey(publish: Publish, stdin: TextIO) -> None:
    for line in stdin:
        words = line.split()
        if not words or words[0] == "quit":
            break
        figures = ""
        if words[0] == "publish":
            channel, count, size = words[1], int(words[2]), int(words[3])
            for _ in range(count):
                publish(channel, _data(channel, size))
        elif words[0] == "pace":
            count = round(float(words[2]) * float(words[3]))
            for _ in _ticks(float(words[2]), count):
                publish(words[1], _data(words[1], int(words[4])))
        elif words[0] == "random":
            count = round(float(words[2]) * float(words[3]))
            for _ in _ticks(float(words[2]), count):
                channel = f"ch-{random.randrange(int(words[1]))}"
                publish(channel, _data(channel, int(words[4])))
        elif words[0] == "time-publish":
            channel, count, size = words[1], int(words[2]), int(words[3])
            figures = f" ns_per_call={_time(publish, channel, count, size):.0f}"
        else:
            print(f"unknown command: {line.strip()}", file=sys.stderr, flush=True)
            continue
        print(f"DONE events={count}{figures}", flush=True)
    os._exit(0)  # with the streams that are open


def _time(publish: Publish, channel: str, count: int, size: int) -> float:
    times = []
    for _ in range(count):
        data = _data(channel, size)
        begun = time.perf_counter_ns()
        publish(channel, data)
        times.append(time.perf_counter_ns() - begun)
    return statistics.median(times)


def _ticks(rate: float, count: int) -> Iterator[None]:
    """One for each event, at its time; those due within a millisecond go together."""
    begun = time.monotonic()
    for n in range(count):
        wait = begun + n / rate - time.monotonic()
        if wait > 0.001:
            time.sleep(wait)
        yield


def _data(channel: str, size: int) -> str:
    number = _published.get(channel, 0)
    _published[channel] = number + 1
    return f"seq={number:010d} ns={time.monotonic_ns():019d} ".ljust(size, "x")
