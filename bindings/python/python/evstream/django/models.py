"""There are no tables. `Event` is for applications that look whether those of django-eventstream have been made."""

from __future__ import annotations

from typing import Any

from .._errors import InvalidError
from ._settings import events


class _Objects:
    def count(self) -> int:
        """How many events this process has published."""
        published: int = events().stats()["published"]
        return published

    def __getattr__(self, name: str) -> Any:
        raise InvalidError(f"Event.objects.{name} is not there: events are kept in memory and not in tables")


class Event:
    """Not a model."""

    objects = _Objects()

    def __init__(self, *_: Any, **__: Any) -> None:
        raise InvalidError("events are kept in memory and not in tables; `send_event` publishes one")
