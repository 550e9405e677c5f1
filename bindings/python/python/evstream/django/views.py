"""Views, where django-eventstream has them."""

from __future__ import annotations

from typing import Any

from ._stream import stream as events

__all__ = ["events"]


def __getattr__(name: str) -> Any:
    if name in ("EventsViewSet", "configure_events_view_set"):
        from . import viewsets

        return getattr(viewsets, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
