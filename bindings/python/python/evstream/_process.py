"""What happens to a process as a whole: forks, its end, and where the core's log records go."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from . import _native

if TYPE_CHECKING:
    from ._events import Events

EXIT_TIMEOUT_S = 2.0
LOG_WAIT_S = 60.0

_logger = logging.getLogger("evstream")
_all: weakref.WeakSet[Events] = weakref.WeakSet()
_log_thread: threading.Thread | None = None
_log_lock = threading.Lock()
_ending = False


def register(events: Events) -> None:
    """Has `events` renewed in forked children, and closed when the interpreter ends."""
    _all.add(events)


def start_logging() -> None:
    """Begins to fetch the core's log records, which is worth a thread only once the core has threads."""
    global _log_thread
    _native.set_log_level(min(_logger.getEffectiveLevel(), 255))
    if _log_thread is not None:
        return
    with _log_lock:
        if _log_thread is None and not _ending:
            thread = threading.Thread(target=_fetch_logs, name="evstream-log", daemon=True)
            thread.start()
            _log_thread = thread


def _fetch_logs() -> None:
    while True:
        _native.set_log_level(min(_logger.getEffectiveLevel(), 255))
        records = _native.next_log_records(LOG_WAIT_S)
        if records is None:
            return
        for level, target, text in records:
            logging.getLogger(target.replace("::", ".")).log(level, "%s", text)


def _end() -> None:
    """Ends all streams while the interpreter still works, so that none of our threads comes back to it later."""
    global _ending
    with _log_lock:
        _ending = True
    for events in list(_all):
        events.close(EXIT_TIMEOUT_S)
    _native.stop_logging()
    if _log_thread is not None:
        _log_thread.join(EXIT_TIMEOUT_S)
    deadline = time.monotonic() + EXIT_TIMEOUT_S
    while _native.end_waiting() and time.monotonic() < deadline:
        time.sleep(0.001)


def _after_fork_in_child() -> None:
    global _log_lock, _log_thread
    _log_lock = threading.Lock()
    _log_thread = None
    _native.reset_after_fork()
    for events in list(_all):
        events._renew()


os.register_at_fork(after_in_child=_after_fork_in_child)
# After the interpreter has joined its threads, which may publish to the last; those that read must be daemons.
atexit.register(_end)
