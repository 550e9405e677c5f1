"""Publishing, in django-eventstream's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from .._errors import InvalidError
from .._native import Receipt
from ._settings import channel_manager, events
from ._stream import refusal, user_name

SEND_TIMEOUT_S = 15.0


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
        receipt = events().publish(channel, data, event=event_type)
    else:
        receipt = events().publish(channel, text=str(data), event=event_type)
    if not async_publish:
        for _, error in receipt.wait(SEND_TIMEOUT_S):
            if error is not None:
                raise error
    return receipt


def get_current_event_id(channels: Iterable[str] = ()) -> str:
    """The position now, for `?lastEventId=`: a page reads it before the data that it shows, and then misses nothing. It
    is one for all channels."""
    return events().position()


def get_events(*_: Any, **__: Any) -> NoReturn:
    """Not there: streams give clients the events that they missed."""
    raise InvalidError(
        "get_events is not supported: streams give clients what they missed after their `lastEventId`, and "
        "`evstream.django.events().subscribe(...)` reads channels in the process"
    )


def channel_permission_changed(user: Any, channel: str) -> None:
    """Ends the streams of a user that read a channel which the channel manager does not let them read any more, in
    all workers that share a journal. `None` is for users who are not signed in: nobody knows which streams are theirs,
    so all clients of the channel come back and are decided on anew, missing nothing. Streams at a GRIP proxy go on."""
    if channel_manager().can_read_channel(user, channel):
        return
    if user is None:
        events().reopen(channel=channel)
    else:
        events().disconnect(refusal([channel]), user=user_name(user), channel=channel)
