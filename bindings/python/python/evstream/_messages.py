"""What subscriptions, observers and `close` give."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Received:
    """An event, as a subscriber sees it."""

    channel: str
    event: str | None
    """Its type; absent means `message`."""
    data: str
    """Its data, with LF between lines."""
    position: str
    """Its place, which clients see as its `id`."""

    def json(self) -> Any:
        """The data, read as JSON."""
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class Reset:
    """Events of these channels were missed, because the reader was too slow; reading goes on after `position`."""

    channels: list[str]
    position: str


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stream that has opened or ended."""

    id: str
    """What `reopen` and `disconnect` call it."""
    channels: list[str]
    user: str | None
    """As the application said with `Access(user=...)`."""
    address: str | None
    """The client's, where it is known."""
    reason: str | None
    """Why it ended: `client`, `write-timeout`, `slow`, `max-age`, `shutdown` or `dropped`; `None` of an open one."""


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A stream that is open, as `Events.streams` lists it."""

    id: str
    """What `reopen` and `disconnect` call it."""
    channels: list[str]
    user: str | None
    """As the application said with `Access(user=...)`."""
    address: str | None
    """The client's, where it is known."""
    position: str
    """The place of the last event that it was given."""
    age: float
    """How long it has been open, in seconds."""
    behind: int
    """Events of its channels that it was not given yet, of those that are kept. Above 0 for long: a slow client."""


@dataclass(frozen=True, slots=True)
class PublishFailure:
    """An event that a GRIP proxy, or the journal, did not get."""

    proxy: str | None
    """Its control URI; `None` when it was the journal."""
    channel: str
    """By its name on the proxy or in the journal."""
    position: str | None
    error: Exception


@dataclass(frozen=True, slots=True)
class Closed:
    """What closing has come to."""

    ended: bool
    """Whether all threads of the events and all calls of the application's functions have ended."""
    undelivered: int
    """Events that the journal, or GRIP proxies, did not get, counted once for each proxy."""


Fields: TypeAlias = "tuple[str, str | None, str, str] | tuple[list[str], str]"


def from_fields(fields: Fields) -> Received | Reset:
    """A message from what the core gives, which is that of one or of the other."""
    return Received(*fields) if len(fields) == 4 else Reset(*fields)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the process can serve."""

    ready: bool
    """Whether new clients should be sent to it."""
    live: bool
    """Whether it can still recover by itself, or should be started anew."""
    problems: list[str]
    """What is wrong, in words for people; also what does not keep clients away."""
