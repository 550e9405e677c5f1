"""What the core has to tell: log records, and what streams do. A thread passes it on, which sleeps meanwhile."""

from __future__ import annotations

import logging
import os
import socket
import threading
import weakref
from typing import Protocol

from . import _native


class Listener(Protocol):
    """Someone who takes news of their own."""

    def take_news(self) -> None:
        """Takes what there is. Must not raise."""


_logger = logging.getLogger("evstream")
_thread: threading.Thread | None = None
_process = 0
_lock = threading.Lock()
_ending = False
_listeners: weakref.WeakSet[Listener] = weakref.WeakSet()


def listen(listener: Listener) -> None:
    """Has `listener` asked to take its news when there are some."""
    _listeners.add(listener)
    start()


def start() -> None:
    """Begins to pass news on, which is worth a thread only once the core has threads."""
    global _thread, _process
    _follow_level()
    if _process == os.getpid():
        return
    with _lock:
        if _ending or _process == os.getpid():
            return
        # Under gevent and eventlet the thread is a greenlet, and such a socket is what it can wait for.
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        _native.signal_log_records(writer.detach())
        _thread = threading.Thread(target=_pass_on, args=[reader], name="evstream-news", daemon=True)
        _thread.start()
        _process = os.getpid()


def stop(timeout_s: float) -> None:
    """Passes on what there is, and ends the thread."""
    global _ending
    with _lock:
        _ending = True
    _native.stop_logging()
    if _thread is not None and _process == os.getpid():
        _thread.join(timeout_s)


def reset() -> None:
    """Starts over in a forked child, where the thread is not."""
    global _lock, _thread, _process
    _lock = threading.Lock()
    _thread, _process = None, 0


def _pass_on(reader: socket.socket) -> None:
    with reader:
        while reader.recv(64):
            _take()
            _follow_level()
    _take()


def _take() -> None:
    for level, target, text in _native.take_log_records():
        logging.getLogger(target.replace("::", ".")).log(level, "%s", text)
    for listener in list(_listeners):
        listener.take_news()


def _follow_level() -> None:
    _native.set_log_level(min(_logger.getEffectiveLevel(), 255))
