"""Live event streams (server-sent events) for the endpoints an application already has.

```python
events = Events()
app.mount("/events", events.asgi())                       # Starlette, FastAPI, any ASGI
events.publish("messages", {"text": "hi"}, event="message")
```
"""

from ._access import Answer, Channels
from ._channel import Channel
from ._errors import (
    CallbackError,
    ClosedError,
    ConfigError,
    DeadlineError,
    EvstreamError,
    Forbidden,
    ForkedError,
    InvalidError,
    InvalidEventError,
    IoError,
    JournalError,
    ProxyError,
)
from ._events import Events
from ._messages import Closed, Health, OpenStream, PublishFailure, Received, Reset, StreamInfo
from ._native import Access, Ended, Jwt, PublicChannels, Receipt, Tickets, __version__
from ._options import Options
from ._request import HttpRequest
from ._server import Server
from ._subscription import Subscription

__all__ = [
    "Access",
    "Answer",
    "CallbackError",
    "Channel",
    "Channels",
    "Closed",
    "ClosedError",
    "ConfigError",
    "DeadlineError",
    "Ended",
    "Events",
    "EvstreamError",
    "Forbidden",
    "ForkedError",
    "Health",
    "HttpRequest",
    "InvalidError",
    "InvalidEventError",
    "IoError",
    "JournalError",
    "Jwt",
    "OpenStream",
    "Options",
    "ProxyError",
    "PublicChannels",
    "PublishFailure",
    "Receipt",
    "Received",
    "Reset",
    "Server",
    "StreamInfo",
    "Subscription",
    "Tickets",
    "__version__",
]
