"""A request, for functions that decide on channels where no framework has a class for it."""

from __future__ import annotations

import http.cookies
import urllib.parse
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from . import _native


class HttpRequest:
    """A request, as raw ASGI and WSGI mounts and the core's own server show it to a function for channels."""

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        client: str | None,
        context: Mapping[str, Any],
    ) -> None:
        self.method = method
        self.path = path
        """The path, percent-decoded."""
        self.query_string = query
        self.headers = headers
        """Headers by their names in lower case; the last of those with the same name."""
        self.client = client
        """The client's address, where it is known; behind `trusted_proxies` what these say."""
        self.context = context
        """The ASGI scope or WSGI environ, in which middleware leaves what it knows, such as a session."""

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the query, each with all its values."""
        return urllib.parse.parse_qs(self.query_string, keep_blank_values=True)

    @cached_property
    def cookies(self) -> dict[str, str]:
        """The cookies."""
        try:
            jar = http.cookies.SimpleCookie(self.headers.get("cookie", ""))
        except http.cookies.CookieError:
            return {}
        return {name: morsel.value for name, morsel in jar.items()}

    @property
    def path_params(self) -> Mapping[str, Any]:
        """The parameters of the path, where a router has found some."""
        params: Mapping[str, Any] = self.context.get("path_params", {})
        return params

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any]) -> HttpRequest:
        """From an ASGI scope."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope.get("client")
        return cls(scope["method"], scope["path"], query_of(scope), headers, client[0] if client else None, scope)

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> HttpRequest:
        """From a WSGI environ."""
        found = [(name[5:], value) for name, value in environ.items() if name.startswith("HTTP_")]
        headers = {name.replace("_", "-").lower(): str(value) for name, value in found}
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        path = path.encode("latin-1").decode("utf-8", "replace")
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        return cls(method, path, query, headers, environ.get("REMOTE_ADDR"), environ)

    @classmethod
    def from_native(cls, request: _native.Request) -> HttpRequest:
        """From a request to the core's own server."""
        headers = {name.lower(): value.decode("latin-1") for name, value in request.headers}
        path = urllib.parse.unquote(request.path)
        return cls(request.method, path, request.query, headers, request.peer, {})


def query_of(scope: Mapping[str, Any]) -> str:
    """The query of an ASGI scope, which is text where Django's test client has made it."""
    query: bytes | str = scope.get("query_string", b"")
    return query if isinstance(query, str) else query.decode("latin-1")
