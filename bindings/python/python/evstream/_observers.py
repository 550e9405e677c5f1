"""An application's functions that are told what streams and proxies do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ._messages import PublishFailure, StreamInfo

logger = logging.getLogger("evstream")


class Observers:
    """The functions, by what they are told of: `open`, `close` and `publish_error`."""

    def __init__(self) -> None:
        self._functions: dict[str, list[Callable[[Any], object]]] = {}

    def __bool__(self) -> bool:
        return bool(self._functions)

    def add(self, kind: str, function: Callable[[Any], object]) -> None:
        """Has `function` told of this kind, too."""
        # A new list, as another thread may go through the old one.
        self._functions[kind] = [*self._functions.get(kind, []), function]

    def tell(self, notices: list[tuple[Any, ...]], lost: int) -> None:
        """Tells them; what they raise is logged."""
        for kind, *fields in notices:
            told = PublishFailure(*fields) if kind == "publish_error" else StreamInfo(*fields)
            for function in self._functions.get(kind, []):
                try:
                    function(told)
                except Exception:
                    logger.exception("the function for on_%s has failed", kind)
        if lost:
            logger.warning("%d openings and ends of streams came too fast to be told of", lost)
