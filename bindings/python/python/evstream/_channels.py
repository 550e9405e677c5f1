"""Which channels a request gets: a fixed list, names with path parameters in them, or a function."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from ._errors import Forbidden, InvalidError
from ._native import Access

logger = logging.getLogger("evstream")

Answer: TypeAlias = "Access | bool | str | Iterable[str]"
"""What a function for channels gives: channels, `True` for those that the client names, `False` for none."""

Channels: TypeAlias = "str | Iterable[str] | Callable[[Any], Answer | Awaitable[Answer]] | None"
"""Which channels a mount has: a name or names, perhaps with `{parameters}` of the path; a function; or with `None`
those that clients name with `?channel=`."""


class Rule:
    """How a mount decides on channels."""

    __slots__ = ("_function", "_names")

    def __init__(self, channels: Channels) -> None:
        self._names: list[str] | None = None
        self._function: Callable[[Any], Any] | None = None
        if callable(channels):
            self._function = channels
        elif channels is not None:
            self._names = _names(channels)

    def access(self, request: Any, parameters: Mapping[str, Any]) -> Access | Awaitable[Access]:
        """What `request` gets; to be awaited when the function is a coroutine function."""
        try:
            if self._function is not None:
                answer = self._function(request)
                return _awaited(answer) if inspect.isawaitable(answer) else to_access(answer)
            if self._names is not None:
                return Access([name.format_map(parameters) if "{" in name else name for name in self._names])
            return Access()
        except Exception as error:
            return refusal(error)


def to_access(answer: Answer) -> Access:
    """What an application's answer means."""
    if isinstance(answer, Access):
        return answer
    if answer is True:
        return Access()
    if answer is False:
        return Access.forbid()
    return Access(_names(answer))


def refusal(error: Exception) -> Access:
    """What an application's exception means; one that is not a refusal is logged."""
    if isinstance(error, Forbidden):
        return Access.forbid(str(error)) if str(error) else Access.forbid()
    logger.error("the function for channels has failed", exc_info=error)
    return Access.fail()


async def _awaited(answer: Awaitable[Answer]) -> Access:
    try:
        return to_access(await answer)
    except Exception as error:
        return refusal(error)


def _names(channels: Any) -> list[str]:
    if isinstance(channels, str):
        return [channels]
    if isinstance(channels, Iterable) and not isinstance(channels, bytes):
        names = list(channels)
        if all(isinstance(name, str) for name in names):
            return names
    raise InvalidError(f"channels are a str, several of them, or a function that gives them, not {channels!r}")
