"""evstream for Django: in the shape of django-eventstream, whose apps move over by changing their imports.

```python
urlpatterns = [path("events/", include(evstream.django.urls), {"channels": ["test"]})]
send_event("test", "message", {"text": "hello world"})
```

`settings.EVSTREAM` has the settings of `Events`, and `adopt`, `json` and `channel_manager`. The settings `GRIP_URL`,
`GRIP_PROXIES`, `GRIP_PREFIX`, `GRIP_PROXY_REQUIRED`, `GRIP_VERIFY_KEY`, `EVENTSTREAM_CHANNELMANAGER_CLASS` and
`EVENTSTREAM_ALLOW_ORIGIN(S)`, `_CREDENTIALS` and `_HEADERS` are honoured too, and so is the environment variable
`GRIP_URL`. `manage.py check` tells of those that have no effect.
"""

from . import urls
from ._gone import gone
from ._middleware import LinksMiddleware
from ._settings import events
from ._stream import stream
from .channelmanager import ChannelManagerBase, DefaultChannelManager
from .eventstream import channel_permission_changed, get_current_event_id, get_events, send_event

__all__ = [
    "ChannelManagerBase",
    "DefaultChannelManager",
    "LinksMiddleware",
    "channel_permission_changed",
    "events",
    "get_current_event_id",
    "get_events",
    "send_event",
    "stream",
    "urls",
]

__getattr__ = gone(
    __name__,
    {
        "EventPermissionError": "`evstream.Forbidden` and Django's `PermissionDenied` refuse a client",
        "EventRequest": "a channel manager is given Django's request, and so is a function for `events().django(...)`",
        "EventResponse": "streams give clients the events that they missed",
    },
)
