"""Whether the server runs several processes of this application."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from typing import Any

from ._stopping import find_uvicorn, is_of

SERVERS = re.compile(r"(uvicorn|gunicorn|hypercorn|granian)")
OPTION = re.compile(r"(?:-w|--workers)(?:=?(\d+))?")


def count_workers() -> int:
    """How many there are, as far as the server or the environment says."""
    found = (_uwsgi(), _gunicorn(), _uvicorn(), _arguments(), _environment())
    return max(count for count in found if count is not None)


def _uwsgi() -> int | None:
    return getattr(sys.modules.get("uwsgi"), "numproc", None)


def _gunicorn() -> int | None:
    """gunicorn's object for a worker catches signals, if not all of them."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGABRT):
        worker: Any = getattr(signal.getsignal(number), "__self__", None)
        if is_of(worker, "gunicorn.workers"):
            return int(worker.cfg.workers)
    return None


def _uvicorn() -> int | None:
    try:
        server = find_uvicorn(asyncio.get_running_loop())
    except RuntimeError:
        return None
    return None if server is None else int(getattr(server.config, "workers", 1) or 1)


def _arguments() -> int | None:
    """Those of a server's program, which its processes are given too."""
    if not SERVERS.search(" ".join(sys.argv[:1])):
        return None
    for place, argument in enumerate(sys.argv):
        if found := OPTION.fullmatch(argument):
            value = found[1] or (sys.argv[place + 1] if place + 1 < len(sys.argv) else "")
            return int(value) if value.isdigit() else None
    return None


def _environment() -> int:
    value = os.environ.get("WEB_CONCURRENCY", "")
    return int(value) if value.isdigit() else 1
