"""Whether gunicorn's threaded worker is between two connections."""

import sys
import threading


def is_resting() -> bool:
    """Whether the main thread waits for connections. While it hands one to its pool it holds a lock, for which its
    handler of SIGINT would wait forever: gunicorn would then end only with its graceful timeout."""
    return sys._current_frames()[threading.main_thread().ident].f_code.co_name == "select"
