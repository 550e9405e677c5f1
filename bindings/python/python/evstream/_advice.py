"""What is said loudly, once, where events would silently not arrive."""

from __future__ import annotations

import logging

from . import _native
from ._workers import count_workers

logger = logging.getLogger("evstream")

REMEDY = (
    'the setting journal="file:/run/app/events" (or EVSTREAM_JOURNAL in the environment) joins those of one host, '
    '"redis://..." those of several, and a GRIP proxy (the setting grip) does it, too'
)


class Advice:
    """What an application has been told, and what it has to be told."""

    def __init__(self) -> None:
        self.links_answered = False
        """Whether what GRIP proxies ask below the paths of streams is answered."""
        self._links_told = False
        self._sole_told = False
        self._pulled_told = False
        self._has_opened = False
        self._is_forked = False

    def forked(self) -> None:
        """The process is a child of the one that made the events."""
        self._is_forked, self._has_opened = True, False

    def opened(self, native: _native.Events, reply: _native.Reply) -> None:
        """A request was answered: has other workers of the server streams that get nothing from this one?"""
        if self._has_opened or not reply.is_stream:
            return
        self._has_opened, self._is_forked = True, False
        if not native.has_journal and not native.has_grip and (workers := count_workers()) > 1:
            logger.warning(
                "this is one of %d workers, and each has its own streams and history: an event that is published in "
                "one of them does not reach the streams of the others. Use one worker, which is enough for thousands "
                "of streams, or %s",
                workers,
                REMEDY,
            )

    def held(self, native: _native.Events) -> None:
        """A request was answered of events that say they are the only ones to publish: are they?"""
        if self._sole_told:
            return
        self._sole_told = True
        # With a journal one of the processes forwards the events of all.
        if native.has_grip and not native.has_journal and (workers := count_workers()) > 1:
            logger.warning(
                "grip_sole_publisher is set, but this is one of %d workers: what another publishes is hidden by it. "
                'A journal makes them one (the setting journal="file:/run/app/events" on one host, "redis://..." on '
                "several)",
                workers,
            )

    def published(self, receipt: _native.Receipt) -> None:
        """A forked worker, such as Celery's, may publish to nobody: the streams are in the process it was forked
        from."""
        if self._is_forked and receipt.streams == 0:
            self._is_forked = False
            if receipt.local_only:
                logger.warning(
                    "an event was published in a forked process that has no streams, and does not reach those of other "
                    "processes: %s",
                    REMEDY,
                )

    def pulled(self, adopt: bool) -> None:
        """A stream is sent by the server, which may be dearer than somebody thinks."""
        if adopt and not self._pulled_told:
            self._pulled_told = True
            logger.info(
                "a stream is sent by the server and not by evstream's threads: the server, TLS, HTTP/2 or middleware "
                "keeps its socket"
            )

    def handed_over(self, native: _native.Events, reply: _native.Reply) -> None:
        """A stream may go to a GRIP proxy that will ask below its path, where nobody answers."""
        if self.links_answered or self._links_told or not native.has_grip:
            return
        self._links_told = any(name == "Grip-Link" for name, _ in reply.headers)
        if self._links_told:
            logger.error(
                "a stream was handed to a GRIP proxy, which will ask below the stream's path to repair it, but nothing "
                "answers there: add the middleware Events.asgi_links, Events.wsgi_links or "
                "evstream.django.LinksMiddleware"
            )
