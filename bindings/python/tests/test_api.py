"""What does not need a server: publishing, settings, subscriptions, the core's own server."""

from __future__ import annotations

import asyncio
import datetime
import gc
import json
import logging
import select
import threading
from typing import Any

import httpx
import orjson
import pytest
from support import open_stream, until

import evstream
from evstream import Events, Received, Reset, _native


@pytest.fixture
def events():
    with Events() as events:
        yield events


def test_options_are_those_of_the_core() -> None:
    assert set(evstream.Options.__annotations__) == {name for name, _, _ in _native.options()}


def test_receipts(events: Events) -> None:
    first, second = events.publish("a", 1), events.publish("a", 2)
    assert first.position < second.position
    assert (first.streams, first.local_only, first.wait()) == (0, True, [])
    assert repr(first) == f"Receipt(position='{first.position}', streams=0, local_only=True)"


@pytest.mark.parametrize("grip", [None, "", []])
def test_no_proxy_is_no_proxy(grip: Any) -> None:
    """An environment variable may be set to nothing."""
    with Events(grip=grip) as events:
        assert events.publish("a", 1).local_only
    with Events(grip="http://127.0.0.1:9/", grip_deadline_ms=100) as events:
        assert not events.publish("a", 1).local_only


@pytest.mark.parametrize(
    ("arguments", "error", "code"),
    [
        ({"channel": ""}, evstream.InvalidError, "invalid-channel"),
        ({"channel": "a\nb"}, evstream.InvalidError, "invalid-channel"),
        ({"event": "stream-open"}, evstream.InvalidEventError, "invalid-event"),
        ({"event": "a\rb"}, evstream.InvalidEventError, "invalid-event"),
        ({"data": object()}, evstream.InvalidEventError, "invalid-event"),
        ({"data": float("nan")}, evstream.InvalidEventError, "invalid-event"),
        ({"data": "\ud800"}, evstream.InvalidEventError, "invalid-event"),
        ({"data": "x", "text": "y"}, evstream.InvalidError, "invalid-argument"),
        ({"text": "x" * 2_000_000}, evstream.InvalidEventError, "too-large"),
        ({"retry_ms": -1}, evstream.InvalidEventError, "invalid-event"),
    ],
)
def test_bad_events(events: Events, arguments: dict[str, Any], error: type[Exception], code: str) -> None:
    with pytest.raises(error) as raised:
        events.publish(**{"channel": "a", **arguments})
    assert isinstance(raised.value, evstream.EvstreamError | ValueError)
    assert getattr(raised.value, "code", None) == code
    assert events.stats()["published"] == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"history_events": -1}, "history_events takes int from 0 to 10000000, not -1"),
        ({"channel_limit": 0}, "channel_limit takes a whole number from 1 to 1000, not 0"),
        ({"slow_client": "x"}, "slow_client takes reset or close"),
        ({"historyEvents": 1}, "there is no setting 'historyEvents'"),
        ({"keep_alive_ms": 1.5}, "keep_alive_ms takes int from 0 to 3600000, not float"),
        ({"grip": "nonsense"}, ""),
    ],
)
def test_bad_settings(options: dict[str, Any], text: str) -> None:
    with pytest.raises(evstream.ConfigError) as raised:
        Events(**options)
    assert str(raised.value).startswith(text)
    assert raised.value.code == "invalid-config"


def test_errors_are_builtins_too() -> None:
    for error, builtin in [
        (evstream.ConfigError, ValueError),
        (evstream.DeadlineError, TimeoutError),
        (evstream.IoError, OSError),
        (evstream.ProxyError, ConnectionError),
        (evstream.ClosedError, RuntimeError),
    ]:
        assert issubclass(error, builtin)
        assert issubclass(error, evstream.EvstreamError)


def test_closed(events: Events) -> None:
    for _ in range(2):
        assert events.close() == evstream.Closed(ended=True, undelivered=0)
    for call in (lambda: events.publish("a"), lambda: events.subscribe("a"), lambda: events.serve()):
        with pytest.raises(evstream.ClosedError) as raised:
            call()
        assert raised.value.code == "closed"


def test_an_encoder_of_ones_own() -> None:
    with Events(json=orjson.dumps) as events, events.subscribe("a") as reader:
        events.publish("a", {"at": datetime.date(2026, 1, 2)})
        message = reader.next(5)
        assert isinstance(message, Received)
        assert message.data == '{"at":"2026-01-02"}'


def test_subscribing(events: Events) -> None:
    with events.subscribe("a", "b") as reader:
        receipt = events.publish("a", {"n": 1}, event="one")
        events.publish("c", 0)
        events.publish("b", text="two\r\nlines")
        assert receipt.streams == 1
        assert reader.next(5) == Received("a", "one", '{"n":1}', receipt.position)
        second = reader.next(5)
        assert isinstance(second, Received)
        assert (second.channel, second.event, second.data) == ("b", None, "two\nlines")
        with pytest.raises(evstream.DeadlineError):
            reader.next(0)
    assert list(reader) == []
    with pytest.raises(evstream.InvalidError):
        events.subscribe()


def test_a_slow_reader_is_told() -> None:
    with Events(backlog_events=10, history_events=10) as events, events.subscribe("a") as reader:
        for n in range(50):
            events.publish("a", n)
        reset = reader.next(5)
        assert isinstance(reset, Reset)
        assert reset.channels == ["a"]


def test_closing_ends_a_reader_in_another_thread(events: Events) -> None:
    got: list[Any] = []
    reader = events.subscribe("a")
    thread = threading.Thread(target=lambda: got.extend(reader))
    thread.start()
    events.publish("a", 1)
    until(lambda: got, "the thread has read it")
    events.close()
    thread.join(5)
    assert not thread.is_alive()


def test_two_threads_cannot_read_one_subscription(events: Events) -> None:
    reader = events.subscribe("a")

    def refused(wait_s: float) -> bool:
        try:
            reader._native.next(wait_s)
        except evstream.InvalidError as error:
            return "being read by another thread" in str(error)
        return False

    # Whoever comes first reads; the thread tries again until that is it.
    thread = threading.Thread(target=lambda: until(lambda: not refused(30), "the thread has read"))
    thread.start()
    until(lambda: refused(0), "the other reader is refused")
    events.close()
    thread.join(5)
    assert not thread.is_alive()


async def test_subscribing_in_a_coroutine(events: Events) -> None:
    readers = [events.subscribe("a") for _ in range(100)]
    got: list[int] = []

    async def read(reader: evstream.Subscription) -> None:
        async for message in reader:
            assert isinstance(message, Received)
            got.append(message.json())

    tasks = [asyncio.create_task(read(reader)) for reader in readers]
    for n in range(20):
        await events.apublish("a", n)
        await asyncio.sleep(0)
    while len(got) < 2000:  # noqa: ASYNC110 - what is tested is who wakes whom
        await asyncio.sleep(0.01)
    for reader in readers[:50]:
        reader.close()
    await asyncio.wait_for(asyncio.gather(*tasks[:50]), 10)
    await asyncio.to_thread(events.close)
    await asyncio.wait_for(asyncio.gather(*tasks), 10)


def test_one_wake_up_of_a_loop_for_all_that_has_happened() -> None:
    wakeups = _native.Wakeups()
    waiters = [wakeups.waiter(key) for key in range(100)]
    for waiter in waiters:
        waiter.wake()
    assert select.select([wakeups.fileno()], [], [], 0)[0]
    assert wakeups.take() == list(range(100))
    assert not select.select([wakeups.fileno()], [], [], 0)[0]
    waiters[7].wake()
    assert select.select([wakeups.fileno()], [], [], 0)[0]
    assert wakeups.take() == [7]


async def test_closing_in_another_thread_ends_a_reader_in_a_coroutine(events: Events) -> None:
    """At once, though the loop has nothing else to do."""
    reader = events.subscribe("a")
    reading = asyncio.ensure_future(anext(reader, None))
    await asyncio.sleep(0)
    threading.Thread(target=reader.close).start()
    assert await reading is None


async def test_a_cancelled_reader_loses_nothing(events: Events) -> None:
    reader = events.subscribe("a")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(reader), 0.01)
    events.publish("a", 1)
    message = await asyncio.wait_for(anext(reader), 5)
    assert isinstance(message, Received)


def test_publishing_from_many_threads(events: Events) -> None:
    reader = events.subscribe("a")
    threads = [threading.Thread(target=lambda: [events.publish("a", n) for n in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    ids = []
    while len(ids) < 4_000:
        message = reader.next(10)
        assert isinstance(message, Received)
        ids.append(message.position)
    assert ids == sorted(set(ids))
    for thread in threads:
        thread.join()


def test_serving(events: Events) -> None:
    with events.serve(path="/live/") as server:
        assert server.address == f"127.0.0.1:{server.port}"
        with open_stream(f"http://{server.address}/live/?channel=a") as client:
            client.named("stream-open")
            events.publish("a", 1, event="x")
            assert client.named("x") == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{server.address}/live/")
    with pytest.raises(evstream.InvalidError):
        events.serve("not an address")
    with pytest.raises(evstream.ConfigError):
        events.serve(path="nowhere")


@pytest.mark.parametrize("later", [False, True])
def test_serving_with_a_function(events: Events, later: bool, caplog: pytest.LogCaptureFixture) -> None:
    def decide(request: evstream.HttpRequest) -> Any:
        if "crumb" not in request.cookies:
            raise evstream.Forbidden("no crumb")
        if request.query.get("x") == ["broken"]:
            raise KeyError("oops")
        return [f"for-{request.headers['x-user']}"]

    async def decide_later(request: evstream.HttpRequest) -> Any:
        await asyncio.sleep(0)
        return decide(request)

    with events.serve(channels=decide_later if later else decide) as server:
        url = f"http://{server.address}/events/"
        with open_stream(url) as client:
            assert client.named("stream-error")["text"] == "no crumb"
        headers = {"Cookie": "crumb=1", "X-User": "bob"}
        with open_stream(url, headers) as client:
            assert client.named("stream-open") == {"channels": ["for-bob"]}
        with open_stream(f"{url}?x=broken", headers) as client:
            assert client.named("stream-close") == {"reason": "failed"}
    assert len([r for r in caplog.records if "function for channels has failed" in r.getMessage()]) == 1


def test_the_core_logs_to_logging(events: Events, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "evstream")
    with events.serve() as server:
        until(lambda: server.address in caplog.text, "the record has arrived")
    assert all(record.name.startswith("evstream") for record in caplog.records if server.address in record.getMessage())


def test_nothing_is_kept_of_events_that_are_gone() -> None:
    import weakref

    events = Events()
    events.subscribe("a").close()
    gone = weakref.ref(events)
    del events
    gc.collect()
    assert gone() is None


def test_publishing_does_not_wait_for_a_dead_proxy() -> None:
    with Events(grip="http://127.0.0.1:9/?key=x", grip_deadline_ms=2_000) as events:
        receipts = [events.publish("a", n) for n in range(100)]
        with pytest.raises(evstream.DeadlineError):
            receipts[0].wait(0)
        ((proxy, error),) = receipts[-1].wait(10)
        assert proxy.startswith("http://127.0.0.1:9")
        assert isinstance(error, evstream.ProxyError)
        with pytest.raises(evstream.DeadlineError):
            events.publish("a", 1).wait(0)


async def test_apublish_tells_what_a_proxy_did_not_get() -> None:
    async with Events(grip="http://127.0.0.1:9/", grip_deadline_ms=200) as events:
        with pytest.raises(evstream.ProxyError) as raised:
            await events.apublish("a", 1)
        assert raised.value.code == "proxy-unavailable"
        assert raised.value.retryable


def test_json_of_django_is_the_same_as_of_the_core() -> None:
    """Compact, and not escaped beyond need."""
    assert json.loads(evstream._json.encode({"é": 1})) == {"é": 1}
    assert evstream._json.encode({"é": [1, 2]}) == '{"é":[1,2]}'
