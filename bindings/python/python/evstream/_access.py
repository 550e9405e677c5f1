"""Which channels a request gets: a fixed list, names with path parameters in them, or a function."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from ._errors import Forbidden, InvalidError
from ._native import Access, Jwt, PublicChannels, Tickets

logger = logging.getLogger("evstream")

Answer: TypeAlias = "Access | bool | str | Iterable[str]"
"""What a function for channels gives: channels, `True` for those that the client names, `False` for none."""

Channels: TypeAlias = (
    "str | Iterable[str] | PublicChannels | Jwt | Tickets | Callable[..., Answer | Awaitable[Answer]] | bool | None"
)
"""Which channels a mount has: a name or names, perhaps with `{parameters}` of the path; a function of the request, and
of the channels that the client names if it takes two arguments; `PublicChannels`, some of which clients name; a
`Jwt` or `Tickets`, by which a token or ticket decides; with `None` or `True` those that clients name in `?channel=`."""


class Rule:
    """How a mount decides on channels. `refusals` are exceptions of a framework that refuse as `Forbidden` does."""

    __slots__ = ("_function", "_refusals", "_takes_named", "names", "signed")

    def __init__(self, channels: Channels, refusals: tuple[type[Exception], ...] = ()) -> None:
        self._refusals: tuple[type[Exception], ...] = (Forbidden, *refusals)
        self._function: Callable[..., Any] | None = None
        self._takes_named = False
        self.names: list[str] | None = None
        self.signed: Jwt | Tickets | None = None
        if isinstance(channels, Jwt | Tickets):
            self.signed = channels
        elif isinstance(channels, PublicChannels):
            self._function = lambda _request, named: channels.access(named)
            self._takes_named = True
        elif callable(channels):
            self._function = channels
            self._takes_named = _takes_two(channels)
        elif channels is not None and channels is not True:
            self.names = _names(channels)

    @property
    def asks(self) -> bool:
        """Whether a function of the application decides."""
        return self._function is not None

    def access(self, request: Any, named: list[str], parameters: Mapping[str, Any]) -> Access | Awaitable[Access]:
        """What `request` gets, in which the client names channels; to be awaited when the function is a coroutine
        function."""
        try:
            if self._function is not None:
                answer = self._function(request, named) if self._takes_named else self._function(request)
                return self._awaited(answer) if inspect.isawaitable(answer) else _to_access(answer)
            if self.names is not None:
                return Access([name.format_map(parameters) if "{" in name else name for name in self.names])
            return Access(True)
        except Exception as error:
            return self._refusal(error)

    async def _awaited(self, answer: Awaitable[Answer]) -> Access:
        try:
            return _to_access(await answer)
        except Exception as error:
            return self._refusal(error)

    def _refusal(self, error: Exception) -> Access:
        """What an exception means; one that is not a refusal is logged, and the client comes back later."""
        if isinstance(error, self._refusals):
            return Access.forbid(str(error)) if str(error) else Access.forbid()
        logger.error("the function for channels has failed", exc_info=error)
        return Access.fail()


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function for channels wants those that the client names, too."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False  # some builtins do not tell
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [one for one in parameters if one.default is one.empty and one.kind in positional]
    is_open = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    if len(needed) > 2 or (not needed and not is_open and not any(one.kind in positional for one in parameters)):
        raise InvalidError("a function for channels takes the request, and perhaps the channels that the client names")
    return len(needed) == 2


def run(access: Awaitable[Access]) -> Access:
    """What a coroutine function for channels gives, on an event loop of its own, as web frameworks for threads have it:
    what it leaves behind ends with it."""

    async def wait() -> Access:
        return await access

    return asyncio.run(wait())


def _to_access(answer: Any) -> Access:
    """What an application's answer means. Only what is certainly meant to open a stream does."""
    if isinstance(answer, Access):
        return answer
    if answer is True:
        return Access(True)
    if answer is False:
        return Access.forbid()
    try:
        return Access(_names(answer))
    except InvalidError as error:
        logger.error("a client is refused, because the function for channels gave %r: %s", answer, error)
        return Access.forbid()


def _names(channels: Any) -> list[str]:
    if isinstance(channels, str) and channels:
        return [channels]
    if isinstance(channels, Iterable) and not isinstance(channels, str | bytes | Mapping):
        names = list(channels)
        if names and all(isinstance(name, str) for name in names):
            return names
    raise InvalidError(
        f"channels are a str, one or more of them, or True for those that clients name, not {channels!r}"
    )
