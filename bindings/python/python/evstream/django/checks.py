"""What the settings of a project ask for that evstream does not do, told by `manage.py check` and when it starts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

from ._settings import channel_manager, events
from .channelmanager import ChannelManagerBase, DefaultChannelManager

IGNORED = {
    "EVENTSTREAM_REDIS": (
        'Events reach the streams of other processes with settings.EVSTREAM = {"journal": "redis://host:6379/0"}, or '
        '"file:/run/app/events" for those of one host; EVSTREAM_JOURNAL in the environment says the same. A GRIP proxy '
        "(GRIP_URL) does it, too."
    ),
    "EVENTSTREAM_STORAGE_CLASS": (
        "Channels keep their history in memory, as much as "
        'settings.EVSTREAM = {"history_events": 1000, "history_age_ms": 300000} says. '
        'With {"journal": "file:/run/app/events"} it outlives the process.'
    ),
    "EVENTSTREAM_STORAGE_CONNECTION": "Channels keep their history in memory; see the setting journal.",
}


def check_settings(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Settings, middleware and methods of django-eventstream and django-grip that have no effect."""
    # A journal does what they are for.
    ignored = {} if events()._source.native.has_journal else IGNORED
    found: list[checks.CheckMessage] = [
        checks.Warning(f"{name} has no effect with evstream.", hint=hint, id=f"evstream.W00{number}")
        for number, (name, hint) in enumerate(ignored.items(), 1)
        if getattr(settings, name, None)
    ]
    if "django_grip.GripMiddleware" in settings.MIDDLEWARE:
        hint = "Take it out: evstream reads Grip-Sig itself. evstream.django.LinksMiddleware is what it may need."
        found.append(checks.Warning("django_grip.GripMiddleware is not needed.", hint=hint, id="evstream.W004"))
    reliable = type(channel_manager()).is_channel_reliable
    if reliable not in (ChannelManagerBase.is_channel_reliable, DefaultChannelManager.is_channel_reliable):
        hint = "All channels have a history, as the settings say; 0 for history_events turns it off."
        found.append(checks.Warning("is_channel_reliable has no effect with evstream.", hint=hint, id="evstream.W005"))
    return found
