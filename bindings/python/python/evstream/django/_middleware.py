"""Answering what GRIP proxies ask on behalf of streams they hold, for streams whose URL pattern is not `urls`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .. import _native
from .._mounts.django import raw_path, to_request, to_response
from ._settings import events


class LinksMiddleware:
    """Middleware; it belongs before what needs a user."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._source = events()._source
        self._source.advice.links_answered = True
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """A response, or what is to be awaited for it."""
        return self._aanswer(request) if self._is_async else self._answer(request) or self._get_response(request)

    async def _aanswer(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self._answer(request) or await self._get_response(request)
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase | None:
        if not _native.is_link(raw_path(request)):
            return None
        reply = self._source.screen(to_request(request))
        return to_response(self._source, reply, request) if isinstance(reply, _native.Reply) else None
