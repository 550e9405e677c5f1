"""What every mount needs of an application's events."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any

from . import _leaving, _native, _news, _process
from ._access import Rule, run
from ._advice import Advice
from ._messages import Closed
from ._native import Access, Asked, Ended, Reply, Request
from ._observers import Observers
from ._request import HttpRequest

_numbers = itertools.count()


class Source:
    """The core's half of the events of this process, and how requests are answered with it."""

    def __init__(self, options: dict[str, Any], *, adopt: bool) -> None:
        self.native: _native.Events
        self.options = options
        self.number = next(_numbers)
        self.adopt = adopt
        """Whether clients' sockets may be taken from servers."""
        self.advice = Advice()
        self.observers = Observers()
        self._closed = False
        self._begin()
        _process.register(self)

    def reply_to(
        self,
        request: Request,
        rule: Rule,
        shown: Any,
        parameters: Mapping[str, Any],
        *,
        exact: bool = False,
        run: Callable[[Awaitable[Access]], Access] = run,
    ) -> Reply:
        """Answers a request. A function for channels is given `shown`, and `run` awaits what a coroutine function
        gives. `exact` when paths below that of the request do not come here."""
        screened = self.screen(request)
        if isinstance(screened, Reply):
            return screened
        access = self._access(request, screened, rule, shown, parameters)
        return self._open(screened, run(access) if isawaitable(access) else access, exact)

    async def areply_to(
        self, request: Request, rule: Rule, shown: Any, parameters: Mapping[str, Any], *, exact: bool = False
    ) -> Reply:
        """As `reply_to`, in a coroutine."""
        screened = self.screen(request)
        if isinstance(screened, Reply):
            return screened
        access = self._access(request, screened, rule, shown, parameters)
        return self._open(screened, await access if isawaitable(access) else access, exact)

    def screen(self, request: Request) -> Reply | Asked:
        """The answer to a request that needs no word from the application, or what it is to decide on."""
        self.start()
        return self.native.screen(request)

    def start(self) -> None:
        """To be called before the core is given something to do on its threads."""
        _process.check_fork()
        _news.start()

    def ended(self, ended: Ended) -> Ended:
        """Streams were ended."""
        if not ended.local_only:
            _leaving.sent(ended, self)
        return ended

    def end_streams(self, timeout: float) -> None:
        """Asks clients to come back later and ends their streams within that time, without waiting for it."""
        self.native.end_streams(timeout)

    def close(self, timeout: float) -> Closed:
        """Ends everything within that time."""
        self._closed = True
        return Closed(*self.native.close(timeout))

    def reopen(self) -> None:
        """Begins anew after `close`."""
        if self._closed:
            self._closed = False
            self._begin()

    def renew(self) -> None:
        """Begins anew in a forked child. What belongs to the parent is never freed here: its threads are not there."""
        self.native.leak()
        self.advice.forked()
        self._begin()
        if self._closed:
            self.native.close(0.0)

    def observe(self, kind: str, function: Callable[[Any], object]) -> None:
        """Has `function` told of what streams or proxies do."""
        if not self.observers:
            self.native.observe()
            _news.listen(self)
        self.observers.add(kind, function)

    def take_news(self) -> None:
        """Tells observers what has happened."""
        self.observers.tell(*self.native.take_notices())

    def _begin(self) -> None:
        self.native = _native.Events(self.options)
        if self.observers:
            self.native.observe()

    def _access(
        self, request: Request, asked: Asked, rule: Rule, shown: Any, parameters: Mapping[str, Any]
    ) -> Access | Awaitable[Access]:
        if isinstance(rule.signed, _native.Jwt):
            return self.native.jwt_access(rule.signed, request, asked.channels)
        if rule.signed is not None:
            return self.native.ticket_access(rule.signed, request, asked.channels)
        return rule.access(_from(shown, asked), asked.channels, parameters)

    def _open(self, asked: Asked, access: Access, exact: bool) -> Reply:
        reply = self.native.open(asked, access)
        self.advice.opened(self.native, reply)
        if self.options.get("grip_sole_publisher"):
            self.advice.held(self.native)
        if exact:
            self.advice.handed_over(self.native, reply)
        return reply


def _from(shown: Any, asked: Asked) -> Any:
    """The request that a function for channels is shown, with the client's address as trusted proxies say. Those of
    frameworks are left as they are."""
    if isinstance(shown, HttpRequest):
        shown.client = asked.client
    return shown
