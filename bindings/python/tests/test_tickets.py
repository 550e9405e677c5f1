"""Tickets, for clients that send no headers, in mounts and at the own server."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from support import until

from evstream import Access, ConfigError, Events, InvalidError, Tickets

SECRET = "a secret of some length"
LIVE = Tickets("live")


def test_the_own_server_takes_a_ticket_of_another_process() -> None:
    with Events(ticket_secret=SECRET) as events, Events(ticket_secret=SECRET) as other:
        ticket = other.ticket(Tickets("live", lasts=3), Access(["a"], user="bob"))
        with events.serve(channels=LIVE) as server:
            url = f"http://{server.address}/events/"
            answer = httpx.get(url)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "evstream-ticket")
            with httpx.stream("GET", url, params={"ticket": ticket}, timeout=30) as response:
                lines = response.iter_lines()
                assert next(lines) == "event: stream-open"
                assert next(lines) == 'data: {"channels":["a"]}'
                events.publish("a", "hi")
                rest = list(lines)
            assert 'data: "hi"' in rest
            assert 'data: {"reason":"expired"}' in rest
            until(lambda: events.stats()["closed"]["expired"] == 1, "it is counted")
            assert events.stats()["tokens_refused"] == 1


def test_a_mount() -> None:
    with Events(ticket_secret=SECRET) as events:
        app = events.wsgi(channels=LIVE)
        heads: list[str] = []

        def ask(ticket: str) -> Any:
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": f"ticket={ticket}"}
            return app(environ, lambda status, _headers: heads.append(status))

        good = events.ticket(LIVE, Access(["a"]))
        for bad in (events.ticket(Tickets("other"), Access(["a"])), good[:-1], ""):
            assert b"".join(ask(bad)) == b"the ticket is not accepted\n"
            assert heads.pop().startswith("401 ")
        body = ask(good)
        assert b'{"channels":["a"]}' in next(iter(body))
        body.close()


def test_what_there_is_no_ticket_for() -> None:
    with Events() as events:
        for access in (Access(True), Access.forbid(), Access(["a"], expires_at=1)):
            with pytest.raises(InvalidError):
                events.ticket(LIVE, access)
    for wrong in ({"open_within": 0}, {"lasts": 604_801}):
        with pytest.raises(InvalidError):
            Tickets("live", **wrong)
    with pytest.raises(ConfigError):
        Events(ticket_secret="short")
