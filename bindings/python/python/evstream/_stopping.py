"""Noticing that the server we are mounted in is about to stop, so that open streams do not hold it up."""

from __future__ import annotations

import signal

CHECK_EVERY_S = 0.1


def host_is_stopping() -> bool:
    """Whether uvicorn or gunicorn waits for its requests to end. Both catch signals with methods of the object that
    knows, and neither tells its applications in another way."""
    for number in (signal.SIGTERM, signal.SIGINT):
        owner = getattr(signal.getsignal(number), "__self__", None)
        if getattr(owner, "should_exit", False) is True or getattr(owner, "alive", True) is False:
            return True
    return False
