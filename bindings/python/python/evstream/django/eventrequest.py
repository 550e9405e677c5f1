"""There are no objects for requests of streams."""

from ._gone import gone

__getattr__ = gone(
    __name__, "channel managers are given Django's request, and so are functions for `events().django(...)`"
)
