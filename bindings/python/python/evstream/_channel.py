"""Publishing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _leaving, _native, _process
from ._errors import ForkedError, InvalidError, InvalidEventError
from ._native import Receipt
from ._source import Source

Encode = Callable[[Any], "str | bytes"]


class Channel:
    """A channel that is published to often, and of which one wants to know how many read it."""

    def __init__(self, source: Source, encode: Encode, name: str) -> None:
        self.name = name
        self._source = source
        self._encode = encode
        self._events = source.native
        self._native = source.native.channel(name)

    @property
    def streams(self) -> int:
        """Streams and subscriptions of this process that read it now."""
        return self._current().streams

    def publish(
        self,
        data: Any = None,
        *,
        text: str | None = None,
        event: str | None = None,
        retry_ms: int | None = None,
        comment: str | None = None,
    ) -> Receipt:
        """As `Events.publish`."""
        text = to_text(self._encode, data, text)
        return publish(self._source, lambda: self._current().publish(text, event, retry_ms, comment))

    def _current(self) -> _native.Channel:
        """That of the lifetime of the events that it is now: they begin anew after a fork."""
        _process.check_fork()
        if self._events is not self._source.native:
            self._events = self._source.native
            self._native = self._events.channel(self.name)
        return self._native


def to_text(encode: Encode, data: Any, text: str | None) -> str:
    """An event's data as it is sent."""
    if text is not None:
        if data is not None:
            raise InvalidError("an event has data or text, not both")
        return text
    try:
        encoded = encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEventError(f"the data cannot be written as JSON: {error}") from error
    return encoded if isinstance(encoded, str) else encoded.decode()


def publish(source: Source, call: Callable[[], Receipt]) -> Receipt:
    """Publishes by a call of the core."""
    try:
        receipt = call()
    except ForkedError:
        _process.check_fork()
        receipt = call()
    except UnicodeEncodeError as error:
        raise InvalidEventError(f"the event cannot be written as UTF-8: {error}") from error
    except OverflowError as error:
        raise InvalidEventError("retry_ms is a whole number from 0 to 2**64 - 1") from error
    if not receipt.local_only:
        _leaving.sent(receipt, source)
    source.advice.published(receipt)
    return receipt
