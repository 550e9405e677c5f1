"""Publishing, in django-eventstream's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._errors import InvalidError
from .._native import Receipt
from ._settings import get_events


def send_event(
    channel: str,
    event_type: str,
    data: Any,
    skip_user_ids: Iterable[str] | None = None,
    async_publish: bool = True,
    json_encode: bool = True,
) -> Receipt:
    """Publishes an event. `json_encode=False` sends the text `data` as it is; `async_publish=False` waits until every
    GRIP proxy has the event, and raises `ProxyError` when one did not get it. There is no way to skip users."""
    if skip_user_ids:
        raise InvalidError("skip_user_ids is not supported: use a channel that those users do not read")
    if json_encode:
        receipt = get_events().publish(channel, data, event=event_type)
    else:
        receipt = get_events().publish(channel, text=str(data), event=event_type)
    if not async_publish:
        for _, error in receipt.wait(SEND_TIMEOUT_S):
            if error is not None:
                raise error
    return receipt


SEND_TIMEOUT_S = 15.0
