"""Who may read which channels, as classes that `settings.EVSTREAM["channel_manager"]` or
`settings.EVENTSTREAM_CHANNELMANAGER_CLASS` names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpRequest


class ChannelManagerBase:
    """Decides on channels; to be subclassed."""

    def get_channels_for_request(self, request: HttpRequest, view_kwargs: Mapping[str, Any]) -> Iterable[str]:
        """The channels that a request is for."""
        raise NotImplementedError

    def can_read_channel(self, user: Any, channel: str) -> bool:
        """Whether a user may read a channel; `user` is `None` for anonymous ones."""
        raise NotImplementedError

    def is_channel_reliable(self, channel: str) -> bool:
        """There for classes that have it; every channel of evstream has a history as the settings say."""
        return True


class DefaultChannelManager(ChannelManagerBase):
    """Channels from the arguments of the URL pattern (`format-channels`, `channels`, `channel`), else from the query;
    everybody may read them."""

    def get_channels_for_request(self, request: HttpRequest, view_kwargs: Mapping[str, Any]) -> Iterable[str]:
        if "format-channels" in view_kwargs:
            return [channel.format(**view_kwargs) for channel in view_kwargs["format-channels"]]
        if "channels" in view_kwargs:
            return list(view_kwargs["channels"])
        if "channel" in view_kwargs:
            return [view_kwargs["channel"]]
        return request.GET.getlist("channel")

    def can_read_channel(self, user: Any, channel: str) -> bool:
        return True
