"""There are no objects for answers with events."""

from ._gone import gone

__getattr__ = gone(
    __name__, "streams give clients the events they missed; `events().subscribe(...)` reads in the process"
)
