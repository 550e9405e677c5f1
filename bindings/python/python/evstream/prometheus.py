"""Metrics in a registry of `prometheus_client`, and so in whatever shows that, such as django-prometheus.

    from evstream.prometheus import install
    install(events)

With `PROMETHEUS_MULTIPROC_DIR` set, as for several workers of gunicorn, a registry asks no collectors: there each
process writes what it has to tell to files every few seconds, which `MultiProcessCollector` adds up.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from . import _process
from ._errors import InvalidError
from ._events import Events

__all__ = ["EventsCollector", "Feeder", "install"]


class EventsCollector(Collector):
    """Asks events for their metrics whenever the registry is read."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def describe(self) -> Iterator[Metric]:
        """The names, by which the registry tells whether they are taken."""
        yield from _families(self._events)

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        yield from _families(self._events)


def install(
    events: Events, registry: CollectorRegistry | None = None, *, interval: float = 5.0
) -> EventsCollector | Feeder:
    """Has `registry`, by default the one that all share, tell the metrics of `events`; of one `Events` only, for the
    names are the same. Gives back what can be closed (`Feeder`) or unregistered (`EventsCollector`).

    `interval` is how often, in seconds, they are written where several processes are added up. Call it where the events
    are made, before workers are forked or after. Raises `InvalidError` where the registry has such metrics already."""
    if not interval > 0:
        raise InvalidError(f"interval takes a number of seconds above 0, not {interval!r}")
    registry = REGISTRY if registry is None else registry
    try:
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ or "prometheus_multiproc_dir" in os.environ:
            return Feeder(events, registry, interval)
        collector = EventsCollector(events)
        registry.register(collector)
        return collector
    except ValueError as error:
        raise InvalidError(f"the registry has metrics of evstream already: {error}") from error


class Feeder:
    """Brings the metrics of this process to files that all processes share, until it is closed."""

    def __init__(self, events: Events, registry: CollectorRegistry, interval: float) -> None:
        self._events = events
        self._interval = interval
        self._lock = threading.Lock()
        self._told: dict[tuple[str, tuple[str, ...]], float] = {}
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        for family in _families(events):
            self._metrics[family.name] = _metric(family, registry)
        _process.register(self)
        _feeders.add(self)
        self._begin()

    def feed(self) -> None:
        """Writes what is new, at once."""
        with self._lock:
            for family in _families(self._events):
                self._feed(family)

    def renew(self) -> None:
        """Begins anew in a forked child, whose events have told nothing yet."""
        self._lock = threading.Lock()
        self._told = {}
        self._begin()

    def close(self, timeout: float = 1.0) -> None:
        """Writes what is left, and nothing more from then on: nothing is open here any more."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        self.feed()
        with self._lock:
            for metric in self._metrics.values():
                if isinstance(metric, Gauge):
                    _zero(metric)

    def pause(self) -> None:
        """Holds it before a fork: a lock of `prometheus_client` that its thread has just then would stay locked."""
        self._lock.acquire()

    def go_on(self) -> None:
        """Lets it go on in the parent."""
        self._lock.release()

    def _begin(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name="evstream-metrics", daemon=True)
        self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        while True:
            self.feed()
            if stop.wait(self._interval):
                return

    def _feed(self, family: Metric) -> None:
        metric = self._metrics.get(family.name)
        if isinstance(metric, Histogram):
            self._feed_histogram(family, metric)
            return
        for sample in family.samples:
            labels = tuple(sample.labels.values())
            if isinstance(metric, Counter):
                of = metric.labels(*labels) if labels else metric
                of.inc(self._more(sample.name, labels, sample.value))
            elif isinstance(metric, Gauge):
                (metric.labels(*labels) if labels else metric).set(sample.value)

    def _feed_histogram(self, family: Metric, metric: Histogram) -> None:
        # Observing each of thousands anew would take long: what they have come to goes where it would have gone.
        below = 0.0
        buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
        for bucket, sample in zip(metric._buckets, buckets, strict=True):
            more = self._more(sample.name, (sample.labels["le"],), sample.value)
            bucket.inc(more - below)
            below = more
        for sample in family.samples:
            if sample.name.endswith("_sum"):
                metric._sum.inc(self._more(sample.name, (), sample.value))

    def _more(self, name: str, labels: tuple[str, ...], value: float) -> float:
        """What has come since the last time; all of it when the events have begun anew."""
        told = self._told.get((name, labels), 0.0)
        self._told[name, labels] = value
        return value - told if value >= told else value


def _families(events: Events) -> Iterator[Metric]:
    _process.check_fork()
    text = events.metrics(openmetrics=True)
    return iter(list(text_string_to_metric_families(text)))  # type: ignore[no-untyped-call]


def _metric(family: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    """An empty metric of the kind of that family."""
    labels = tuple(family.samples[0].labels) if family.samples else ()
    if family.type == "counter":
        return Counter(family.name, family.documentation, labels, registry=registry)
    if family.type == "histogram":
        bounds = [float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels]
        return Histogram(family.name, family.documentation, buckets=bounds, registry=registry)
    if family.type == "info":
        return Gauge(
            f"{family.name}_info", family.documentation, labels, registry=registry, multiprocess_mode="livesum"
        )
    if family.name == "evstream_journal_connected":  # only if it is so in all of them
        return Gauge(family.name, family.documentation, labels, registry=registry, multiprocess_mode="livemin")
    if family.name == "evstream_journal_lag_seconds":
        return Gauge(family.name, family.documentation, labels, registry=registry, multiprocess_mode="livemax")
    return Gauge(family.name, family.documentation, labels, registry=registry, multiprocess_mode="livesum")


def _zero(gauge: Gauge) -> None:
    if not gauge._labelnames:
        gauge.set(0)
        return
    for sample in next(iter(gauge.collect())).samples:
        gauge.labels(**sample.labels).set(0)


_feeders: weakref.WeakSet[Feeder] = weakref.WeakSet()
_paused: list[Feeder] = []


def _before_fork() -> None:
    for feeder in list(_feeders):
        feeder.pause()
        _paused.append(feeder)


def _after_fork_in_parent() -> None:
    while _paused:
        _paused.pop().go_on()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_paused.clear)
