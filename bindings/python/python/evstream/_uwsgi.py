"""uWSGI, which ends its workers in handlers of signals, in C and at once, also those that are sending streams. Its hook
`uwsgi.atexit`, and Python's own, are passed over in a worker that is busy, as one with a stream is. So the signals are
heard before it, and it gets them when the streams have said their last words.

Imported in a worker of uWSGI only.
"""

from __future__ import annotations

import signal

from ._native import Heeding

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""A graceful reload, and the two that the master has for the end of its workers."""

LAST_WORDS_S = 2.0
"""How long a signal waits for the streams, which look for it every half a second."""


def heed() -> Heeding:
    """To be asked by a stream, from its beginning to its end, whether the worker is to end."""
    return Heeding(SIGNALS, LAST_WORDS_S)
