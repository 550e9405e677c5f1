"""Nothing of django-eventstream's insides is here."""

from ._gone import gone

__getattr__ = gone(__name__, "its insides are others; `send_event`, `stream` and channel managers are the same")
