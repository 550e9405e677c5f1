"""evstream for Django: in the shape of django-eventstream, whose apps move over by changing their imports.

```python
urlpatterns = [path("events/", include(evstream.django.urls), {"channels": ["test"]})]
send_event("test", "message", {"text": "hello world"})
```

`settings.EVSTREAM` has the settings of `Events`, and `adopt`, `json` and `channel_manager`. The settings `GRIP_URL`,
`GRIP_PROXIES`, `GRIP_PREFIX`, `EVENTSTREAM_CHANNELMANAGER_CLASS` and `EVENTSTREAM_ALLOW_ORIGIN(S)`, `_CREDENTIALS` and
`_HEADERS` are honoured too, and so is the environment variable `GRIP_URL`.
"""

from . import urls
from ._middleware import LinksMiddleware
from ._settings import get_events
from ._view import stream
from .channelmanager import ChannelManagerBase, DefaultChannelManager
from .eventstream import send_event

__all__ = [
    "ChannelManagerBase",
    "DefaultChannelManager",
    "LinksMiddleware",
    "get_events",
    "send_event",
    "stream",
    "urls",
]
