"""The project's streams, with the channels that its channel manager gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .._mounts.django import make_rule, respond
from .._native import Access
from ._settings import channel_manager, events


def stream(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
    """A view of the project's events. It may also be called in a view of Django REST framework."""
    return respond(events()._source, _rule, request, (request, parameters), parameters, exact=False)


stream.csrf_exempt = True  # type: ignore[attr-defined]


def _managed(asked: tuple[HttpRequest, Mapping[str, Any]]) -> Access:
    """What the channel manager says."""
    request, parameters = asked
    manager = channel_manager()
    user = getattr(request, "user", None)
    user = user if user is not None and user.is_authenticated else None
    channels = sorted(manager.get_channels_for_request(request, parameters))
    refused = [channel for channel in channels if not manager.can_read_channel(user, channel)]
    if refused:
        return Access.forbid(refusal(refused))
    return Access(channels, user=None if user is None else user_name(user))


def user_name(user: Any) -> str:
    """By which name the streams of a user are known."""
    return str(user.pk)


def refusal(channels: Iterable[str]) -> str:
    """What a client is told that may not read these."""
    return f"Permission denied to channels: {', '.join(channels)}"


_rule = make_rule(_managed)
