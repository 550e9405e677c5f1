"""Answering what GRIP proxies ask on behalf of streams they hold, for streams whose URL pattern is not `urls`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from .. import _native
from ._settings import get_events
from ._view import raw_path, to_request, to_response


@sync_and_async_middleware
def LinksMiddleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Middleware; it belongs before what needs a user."""
    events = get_events()
    events._links_answered = True

    def answer(request: HttpRequest) -> HttpResponseBase | None:
        if not _native.is_link(raw_path(request)):
            return None
        reply = events._native.screen(to_request(request))
        return None if reply is None else to_response(events, reply, request)

    if inspect.iscoroutinefunction(get_response):

        async def amiddleware(request: HttpRequest) -> HttpResponseBase:
            response: HttpResponseBase = answer(request) or await get_response(request)
            return response

        return amiddleware

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = answer(request) or get_response(request)
        return response

    return middleware
