"""Streams as a viewset of Django REST framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http.response import HttpResponseBase
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from ._stream import stream
from .renderers import BrowsableAPIEventStreamRenderer, SSEEventRenderer


class EventsViewSet(ViewSet):
    """Streams of the channels that the class says, or the URL, or the query (`?channels=a,b`): one of the three. Who
    may read them is up to the project's channel manager. A browser that asks for a page gets one with their names."""

    http_method_names = ("get",)
    renderer_classes = (SSEEventRenderer, BrowsableAPIEventStreamRenderer)
    channels: Sequence[str] = ()
    messages_types: Sequence[str] = ()

    def __init__(
        self, channels: Sequence[str] | None = None, messages_types: Sequence[str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.channels = self.channels if channels is None else channels
        self.messages_types = self.messages_types if messages_types is None else messages_types

    def list(self, request: Any) -> HttpResponseBase:
        """The channels of the class, or of the query."""
        named = [name for name in request.query_params.get("channels", "").split(",") if name]
        if named and self.channels:
            raise ValidationError("the channels of this stream are fixed, and the query names others")
        return self._answer(request, named or self.channels)

    @action(detail=False, methods=["get"], url_path="(?P<channel>[^/.]+)")
    def channel(self, request: Any, channel: str) -> HttpResponseBase:
        """The channel of the URL."""
        if self.channels:
            raise ValidationError("the channels of this stream are fixed, and the URL names another")
        return self._answer(request, [channel])

    def _answer(self, request: Any, channels: Sequence[str]) -> HttpResponseBase:
        if isinstance(request.accepted_renderer, BrowsableAPIEventStreamRenderer):
            return Response({"channels": list(channels), "messages_types": list(self.messages_types or ["message"])})
        return stream(request, channels=channels)


def configure_events_view_set(
    channels: Sequence[str] | None = None, messages_types: Sequence[str] | None = None
) -> type[EventsViewSet]:
    """An `EventsViewSet` of these channels."""

    class ConfiguredEventsViewSet(EventsViewSet):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(channels=channels, messages_types=messages_types, **kwargs)

    return ConfiguredEventsViewSet
