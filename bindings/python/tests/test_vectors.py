"""The vectors that every language runs. What they ask of a client's decoder is not for this package, which has none."""

from __future__ import annotations

import json
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from evstream import Access, Events, EvstreamError, Jwt
from evstream._access import Rule
from evstream._native import Pull, Reply, Request
from evstream._request import HttpRequest

VECTORS = Path(__file__).parents[3] / "tests" / "vectors"


def cases(name: str) -> Any:
    found = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    return pytest.mark.parametrize("case", found, ids=[case["name"] for case in found])


@cases("encode")
def test_encode(case: dict[str, Any]) -> None:
    only(case, "name", "event", "expected")
    with Events() as events:
        reply = open_stream(events)
        publish(events, "a", case["event"])
        assert drain(reply.pull()) == fill(case["expected"], events).encode()


@cases("query")
def test_query(case: dict[str, Any]) -> None:
    only(case, "name", "query", "expected")
    expected = case["expected"]
    with Events() as events:
        frames = read(open_stream(events, query=case["query"]).body)
    if "error" in expected:
        only(expected, "error")
        assert (frames[0]["event"], len(frames)) == ("stream-error", 1)
        error = json.loads(frames[0]["data"])
        assert (error["condition"], error["text"]) == ("bad-request", expected["error"])
        return
    only(expected, "channels", "resumes")
    assert frames[0]["event"] == "stream-open"
    assert json.loads(frames[0]["data"])["channels"] == expected["channels"]
    assert len(frames) == 1 + expected["resumes"]
    if expected["resumes"]:
        assert frames[1]["event"] == "stream-reset"
        assert json.loads(frames[1]["data"])["reason"] == "epoch"


@cases("position")
def test_position(case: dict[str, Any]) -> None:
    only(case, "name", "last_event_id", "via", "expected")
    expected = case["expected"]
    with Events() as events:
        for n in range(1, 13):
            events.publish("a", n)
        text = fill(case["last_event_id"], events)
        if case["via"] == "header":
            reply = open_stream(events, headers=[["Last-Event-ID", text]])
        else:
            reply = open_stream(events, query=f"channel=a&lastEventId={urllib.parse.quote(text)}")
        if "stopped" in expected:
            assert (reply.status, reply.is_stream) == (400, False)
            assert dict(reply.headers)["Content-Type"].startswith("text/plain")
            return
        frames = read(reply.body)
        rest = [int(frame["data"]) for frame in read(drain(reply.pull()))]
        if "at" in expected:
            assert [frames[0]["event"], frames[0]["id"]] == [
                "stream-open",
                fill(f"{{{{pos:{expected['at']}}}}}", events),
            ]
            assert rest == list(range(expected["at"] + 1, 13))
        else:
            only(expected, "reset", "open_id")
            assert frames[0]["id"] == fill(expected["open_id"], events)
            assert frames[1]["id"] == fill("{{head}}", events)
            assert json.loads(frames[1]["data"])["reason"] == expected["reset"]
            assert rest == []


@cases("publish")
def test_publish(case: dict[str, Any]) -> None:
    only(case, "name", "config", "needs", "channel", "channel_hex", "event", "expected")
    if "needs" in case:
        assert case["needs"] == "bytes"
        pytest.skip("a str of Python is always characters")
    expected = case["expected"]
    with Events(**case.get("config", {})) as events:
        if "position" in expected:
            receipt = publish(events, case["channel"], case["event"])
            assert receipt == fill(expected["position"], events)
            return
        only(expected, "code", "text")
        with pytest.raises(EvstreamError) as raised:
            publish(events, case["channel"], case["event"])
        assert raised.value.code == expected["code"]
        assert expected.get("text", "") in str(raised.value)
        assert events.publish("a", 1).position == fill("{{pos:1}}", events)


@cases("open")
def test_open(case: dict[str, Any]) -> None:
    only(case, "name", "config", "published", "held", "closed", "access", "request", "published_after", "expected")
    only(case["expected"], "status", "headers", "body", "next")
    with Events(**case.get("config", {})) as events:
        for channel, text in case.get("published", []):
            events.publish(channel, text=text)
        request = {**case["request"]}
        only(request, "method", "path", "query", "headers", "peer")
        request["headers"] = [[name, fill(value, events)] for name, value in request["headers"]]
        request["query"] = fill(request["query"], events)
        expected = json.loads(fill(json.dumps(case["expected"]), events))
        held = [answer(events, request, case.get("access")) for _ in range(case.get("held", 0))]
        if case.get("closed"):
            events.close(0.0)
        reply = answer(events, request, case.get("access"))
        assert reply.status == expected["status"]
        assert [list(header) for header in reply.headers] == expected["headers"]
        assert reply.body.decode() == expected["body"]
        assert reply.is_stream == (expected["next"] is not None)
        if reply.is_stream:
            pull = reply.pull()
            for channel, text in case.get("published_after", []):
                events.publish(channel, text=text)
            assert drain(pull).decode() == expected["next"]
        for other in held:
            other.close()


@cases("proxies")
def test_proxies(case: dict[str, Any]) -> None:
    only(case, "name", "config", "peer", "headers", "expected")
    seen: list[str | None] = []

    def channels(request: HttpRequest) -> str:
        seen.append(request.client)
        return "a"

    with Events(**case["config"]) as events:
        headers = [(name.encode(), value.encode()) for name, value in case["headers"]]
        native = Request("GET", "/events/", "channel=a", headers, case["peer"])
        shown = HttpRequest("GET", "/events/", "channel=a", {}, case["peer"], {})
        events._source.reply_to(native, Rule(channels), shown, {}).close()
    assert seen == [case["expected"]]


@cases("tokens")
def test_tokens(case: dict[str, Any]) -> None:
    only(case, "name", "by", "config", "jwt", "query", "headers", "expected")
    only(case["expected"], "channels", "error", "status", "text", "challenge")
    given = {**case["jwt"]}
    only(given, "keys", "issuer", "audience", "cookie")
    expected = case["expected"]
    with Events(**case.get("config", {})) as events:
        headers = [(name.encode(), value.encode()) for name, value in case["headers"]]
        native = Request("GET", "/events/", case["query"], headers)
        reply = events._source.reply_to(native, Rule(Jwt(given.pop("keys"), **given)), None, {})
        body = reply.body.decode()
        reply.close()
        if "status" in expected:
            assert (reply.status, body.rstrip()) == (expected["status"], expected["text"])
            assert dict(reply.headers)["WWW-Authenticate"] == expected["challenge"]
            assert events.stats()["tokens_refused"] == 1
            return
    name, data = re.match(r"event: (.*)\n(?:retry: .*\n)?data: (.*)\n", body).groups()  # type: ignore[union-attr]
    if "channels" in expected:
        assert (name, json.loads(data)["channels"]) == ("stream-open", expected["channels"])
    else:
        assert (name, json.loads(data)["text"]) == ("stream-error", expected["error"])


def answer(events: Events, request: dict[str, Any], access: dict[str, Any] | None) -> Reply:
    native = Request(
        request["method"],
        request["path"],
        request["query"],
        [(name.encode(), value.encode()) for name, value in request["headers"]],
        request.get("peer"),
    )
    screened = events._source.native.screen(native)
    if isinstance(screened, Reply):
        return screened
    return events._source.native.open(screened, to_access(access or {}))


def to_access(access: dict[str, Any]) -> Access:
    only(access, "channels", "user", "forbid", "fail")
    if "forbid" in access:
        return Access.forbid(access["forbid"])
    if "fail" in access:
        return Access.fail(access["fail"])
    return Access(access.get("channels", True), user=access.get("user"))


def open_stream(events: Events, query: str = "channel=a", headers: Any = ()) -> Reply:
    return answer(events, {"method": "GET", "path": "/events/", "query": query, "headers": headers}, None)


def publish(events: Events, channel: str, event: dict[str, Any]) -> str:
    only(event, "data", "data_repeat", "json", "name", "retry_ms", "comment")
    options = {"event": event.get("name"), "retry_ms": event.get("retry_ms"), "comment": event.get("comment")}
    if "json" in event:
        return events.publish(channel, event["json"], **options).position
    part, times = event.get("data_repeat", (event.get("data"), 1))
    return events.publish(channel, text=part * times, **options).position


def drain(pull: Pull) -> bytes:
    """What a stream has to say at this moment."""
    read = b""
    while chunk := pull.next(0.0):
        read += chunk
    pull.close()
    return read


def read(text: bytes) -> list[dict[str, str]]:
    frames = text.decode().split("\n\n")[:-1]
    return [dict(line.split(": ", 1) for line in frame.split("\n")) for frame in frames]


def fill(text: str, events: Events) -> str:
    """Puts the positions of this app into a text."""
    if "{{" not in text:
        return text
    epoch = read(answer(events, {"method": "GET", "path": "/", "query": "channel=x", "headers": []}, None).body)[0][
        "id"
    ]
    head, epoch = epoch, epoch[:8]
    other = epoch[:-1] + ("0" if epoch[-1] != "0" else "1")
    text = text.replace("{{epoch}}", epoch).replace("{{head}}", head)
    text = re.sub(r"\{\{pos:(\d+)\}\}", lambda found: f"{epoch}-{int(found[1]):012x}", text)
    return re.sub(r"\{\{other:(\d+)\}\}", lambda found: f"{other}-{int(found[1]):012x}", text)


def only(case: dict[str, Any], *names: str) -> None:
    assert set(case) <= set(names), f"unknown fields: {set(case) - set(names)}"
