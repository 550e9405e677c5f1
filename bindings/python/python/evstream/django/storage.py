"""There is no storage: channels keep their history in memory."""

from ._gone import gone

__getattr__ = gone(
    __name__,
    "history is kept in memory, as much as the settings history_events, history_age_ms and history_bytes say, and a "
    "client that comes back too late is told with a stream-reset",
)
