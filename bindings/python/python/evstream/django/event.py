"""There are no objects for events."""

from ._gone import gone

__getattr__ = gone(__name__, "`send_event` takes what an event has, and `events().subscribe(...)` gives events to read")
