"""Renderers of Django REST framework. A view that answers with a stream needs the first: browsers ask for streams with
`Accept: text/event-stream`, which is else answered with 406."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer


class SSEEventRenderer(BaseRenderer):
    """Says that a view answers with streams. Streams need no rendering; other answers are told as an event."""

    media_type = "text/event-stream"
    format = "text/event-stream"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """What is not a stream, such as an error of the framework."""
        if data is None:
            return b""
        response = (renderer_context or {}).get("response")
        condition = "bad-request" if getattr(response, "status_code", 403) == 400 else "forbidden"
        error = {"condition": condition, "text": " ".join(_texts(data)), "channels": []}
        text = json.dumps(error, ensure_ascii=False)
        return f"event: stream-error\ndata: {text}\nretry: 86400000\nid: error\n\n".encode()


class BrowsableAPIEventStreamRenderer(BrowsableAPIRenderer):
    """A page that says which channels there are."""

    format = "api_sse"


def _texts(data: Any) -> Iterator[str]:
    """Those of an error of the framework, which has them in lists and mappings."""
    if isinstance(data, (Mapping, list, tuple)):
        for item in data.values() if isinstance(data, Mapping) else data:
            yield from _texts(item)
    else:
        yield str(data)
