"""What the READMEs and the documentation show works as they show it."""

from __future__ import annotations

import ast
import inspect
import os
import re
from pathlib import Path
from types import CodeType
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask

import evstream

PACKAGE = Path(__file__).parents[1] / "README.md"
PROJECT = Path(__file__).parents[3] / "README.md"
DOCS = PROJECT.parent / "docs"
START = DOCS / "start/python.md"


@pytest.mark.parametrize("path", [PACKAGE, PROJECT], ids=["package", "project"])
async def test_the_python_in_it(path: Path) -> None:
    blocks = python_in(path)
    assert blocks
    app, flask_app = FastAPI(), Flask(__name__)
    names: dict[str, Any] = {"app": app, "flask_app": flask_app, "may_read": lambda request: ["news"], "orjson": orjson}
    for block in blocks:
        code: CodeType = compile(block, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)
        if inspect.isawaitable(result):
            await result
    head = TestClient(app).head("/events/?channel=messages")
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream")
    if path == PROJECT:
        assert flask_app.test_client().head("/events/?channel=messages").content_type == "text/event-stream"


def test_five_minutes() -> None:
    fastapi, flask, django = (run(block, START, {"__name__": __name__}) for block in python_in(START))
    requests, http = flask["app"].test_client(), TestClient(fastapi["app"])
    for client in (http, requests):
        assert client.head("/events/?channel=messages").status_code == 200
    assert http.post("/messages?text=hi").json() == requests.post("/messages?text=hi").json == {"streams": 0}
    assert [str(pattern.pattern) for pattern in django["urlpatterns"]] == ["events/", "messages"]


def run(block: str, path: Path, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(block, str(path), "exec"), names)
    return names


def test_the_python_in_other_pages() -> None:
    """Each piece makes what it uses, or uses what one before it on the page has made."""
    for path in sorted(DOCS.rglob("*.md")):
        names: dict[str, Any] = {"app": FastAPI(), "flask_app": Flask(__name__), "may_read": lambda request: ["news"]}
        for block in python_in(path) if path != START else []:
            run(block, path, names)


def python_in(path: Path) -> list[str]:
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return blocks


def test_the_events_in_its_text() -> None:
    found = re.findall(r"`(Events\([^`]+\))`", PACKAGE.read_text())
    assert len(found) > 2
    for expression in found:
        with eval(expression, {"Events": evstream.Events, "orjson": orjson, "os": os}) as events:
            events.publish("a", 1)


def test_the_servers_in_its_text() -> None:
    found = re.findall(r"`(events\.serve\([^`.]+\))`", PACKAGE.read_text())
    assert found
    with evstream.Events() as events:
        for expression in found:
            with eval(expression, {"events": events}) as server:
                assert server.port


def test_the_mounts_in_its_table() -> None:
    """Each method that it names is there."""
    methods = set(re.findall(r"\bevents\.(\w+)\(", PACKAGE.read_text()))
    assert {"asgi", "response", "flask", "django", "wsgi", "serve", "publish", "apublish", "subscribe"} <= methods
    assert all(callable(getattr(evstream.Events, name)) for name in methods)
