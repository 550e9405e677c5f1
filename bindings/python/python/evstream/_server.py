"""The HTTP server of evstream's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _native
from ._access import Channels, Rule, run
from ._errors import InvalidError
from ._process import Owner
from ._request import HttpRequest
from ._source import Source

if TYPE_CHECKING:
    from typing_extensions import Self

Authorize: TypeAlias = Callable[[_native.Request, list[str]], _native.Access]
Report: TypeAlias = "str | tuple[str, Callable[[HttpRequest], Any]] | None"
"""A path, perhaps with a function that says by `True` or `False` who may read what is there, or raises `Forbidden`."""
Fallback: TypeAlias = "Callable[[HttpRequest, bytes], tuple[int, str, str | bytes]]"
"""What answers requests for other paths: with a status, a media type, and a body."""


class Server:
    """A listening server of evstream's own. Also a context manager that closes it."""

    def __init__(self, native: _native.Server) -> None:
        self._owner = Owner("server")
        self._native = native

    @property
    def address(self) -> str:
        """Where it listens: `host:port`, or `unix:PATH`."""
        return self._native.address

    @property
    def port(self) -> int:
        """The port it listens on; 0 for a Unix socket."""
        port = self.address.rpartition(":")[2]
        return int(port) if port.isdigit() else 0

    def close(self, timeout: float = 5.0) -> bool:
        """Ends it within `timeout` seconds: takes no more connections and asks its clients to come back later. False
        when the time was not enough."""
        self._owner.check()
        return self._native.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(
    source: Source,
    address: str,
    mounts: Mapping[str, Channels],
    fallback: Fallback | None,
    accept_publish: bool | str | tuple[str, str],
    metrics: Report,
    health: Report,
) -> Server:
    """Listens on an address."""
    source.start()
    mounted = [_mounted(path, Rule(channels)) for path, channels in mounts.items()]
    answer = None if fallback is None else _answerer(fallback)
    reports = [_reported("metrics", metrics), _reported("health", health)]
    return Server(source.native.serve(address, mounted, answer, _publishers(accept_publish), reports))


def _mounted(
    path: str, rule: Rule
) -> tuple[str, list[str] | None, Authorize | None, _native.Jwt | _native.Tickets | None]:
    def authorize(request: _native.Request, named: list[str]) -> _native.Access:
        access = rule.access(HttpRequest.from_native(request), named, {})
        return access if isinstance(access, _native.Access) else run(access)

    return path, rule.names, authorize if rule.asks else None, rule.signed


def _reported(what: str, report: Report) -> tuple[str, Authorize | None] | None:
    if report is None:
        return None
    path, function = (report, None) if isinstance(report, str) else report if _is_pair(report) else (None, None)
    if not isinstance(path, str) or not (function is None or callable(function)):
        raise InvalidError(f"{what} takes a path, or a path and a function that says who may read it")
    if function is None:
        return path, None
    _, _, authorize, _ = _mounted(path, Rule(function))
    return path, authorize


def _is_pair(report: object) -> bool:
    return isinstance(report, tuple) and len(report) == 2 and callable(report[1])


def _answerer(fallback: Fallback) -> Callable[[_native.Request, bytes], tuple[int, str, bytes]]:
    def answer(request: _native.Request, body: bytes) -> tuple[int, str, bytes]:
        status, kind, answered = fallback(HttpRequest.from_native(request), body)
        return status, kind, answered.encode() if isinstance(answered, str) else answered

    return answer


def _publishers(accept: bool | str | tuple[str, str]) -> list[str] | None:
    """Who may publish: `None` for nobody, a token, a user and a password, or nothing of them for anybody."""
    if isinstance(accept, bool):
        return [] if accept else None
    words = [accept] if isinstance(accept, str) else list(accept) if isinstance(accept, tuple) else []
    if len(words) not in (1, 2) or not all(isinstance(word, str) and word for word in words):
        raise InvalidError("accept_publish takes True, a token, or a user and a password")
    return words
