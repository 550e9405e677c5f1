"""Under gevent and eventlet, where a wait that they do not know holds up the whole process."""

from __future__ import annotations

import sys

GREEN_WAIT_S = 0.05


def is_green() -> bool:
    """Whether the standard library's waits are those of gevent or eventlet."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("time"):
        return True
    eventlet = sys.modules.get("eventlet.patcher")
    return eventlet is not None and bool(eventlet.is_monkey_patched("time"))
