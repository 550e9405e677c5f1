"""What a subscription gives."""

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


Fields: TypeAlias = "tuple[str, str | None, str, str] | tuple[list[str], str]"


def from_fields(fields: Fields) -> Received | Reset:
    """A message from what the core gives, which is that of one or of the other."""
    return Received(*fields) if len(fields) == 4 else Reset(*fields)
