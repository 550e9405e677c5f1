"""Live event streams (server-sent events) for the endpoints an application already has.

```python
events = Events()
app.mount("/events", events.asgi())                       # Starlette, FastAPI, any ASGI
events.publish("messages", {"text": "hi"}, event="message")
```
"""

from ._channels import Answer, Channels
from ._errors import (
    ClosedError,
    ConfigError,
    DeadlineError,
    EvstreamError,
    Forbidden,
    ForkedError,
    InvalidError,
    InvalidEventError,
    IoError,
    ProxyError,
)
from ._events import Events, Options, Server, Subscription
from ._messages import Received, Reset
from ._native import Access, Receipt, __version__
from ._request import HttpRequest

__all__ = [
    "Access",
    "Answer",
    "Channels",
    "ClosedError",
    "ConfigError",
    "DeadlineError",
    "Events",
    "EvstreamError",
    "Forbidden",
    "ForkedError",
    "HttpRequest",
    "InvalidError",
    "InvalidEventError",
    "IoError",
    "Options",
    "ProxyError",
    "Receipt",
    "Received",
    "Reset",
    "Server",
    "Subscription",
    "__version__",
]
