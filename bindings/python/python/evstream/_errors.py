"""The exceptions of the package: one base, subclasses by what a caller does next, each also a builtin's subclass."""

from __future__ import annotations


class EvstreamError(Exception):
    """What evstream raises. `code` is a stable word, the same in all languages; the text is for people."""

    code: str = "internal"
    retryable: bool = False
    """Whether the same call may succeed later."""


class InvalidError(EvstreamError, ValueError):
    """What was given is not allowed; the text says what is (`invalid-argument`, `invalid-channel`)."""

    code = "invalid-argument"


class ConfigError(InvalidError):
    """A setting has a value that is not allowed, or does not exist (`invalid-config`)."""

    code = "invalid-config"


class InvalidEventError(InvalidError):
    """An event cannot be written, or is too large (`invalid-event`, `too-large`)."""

    code = "invalid-event"


class ClosedError(EvstreamError, RuntimeError):
    """The events, server or subscription is closed (`closed`)."""

    code = "closed"


class ForkedError(EvstreamError, RuntimeError):
    """The object belongs to the process that forked this one (`forked`)."""

    code = "forked"


class DeadlineError(EvstreamError, TimeoutError):
    """The time given was not enough (`timeout`)."""

    code = "timeout"
    retryable = True


class IoError(EvstreamError, OSError):
    """The operating system refused (`io`)."""

    code = "io"
    retryable = True


class ProxyError(EvstreamError, ConnectionError):
    """A GRIP proxy did not get an event (`proxy-unavailable`, `proxy-rejected`, `queue-full`, `unauthorized`)."""

    code = "proxy-unavailable"


class JournalError(EvstreamError, ConnectionError):
    """The journal did not take an event (`journal-unavailable`, `journal-rejected`)."""

    code = "journal-unavailable"


class CallbackError(EvstreamError, RuntimeError):
    """The call waits for functions of the application to end, and one of them has made it (`in-callback`)."""

    code = "in-callback"


class Forbidden(Exception):
    """Raised by an application's function for channels: the client is told `forbidden`, with this text."""


# The core makes its exceptions of these, and sets `code` and `retryable`. None of them has code of its own in Python.
CLASSES: dict[str, type[EvstreamError]] = {
    "invalid-config": ConfigError,
    "invalid-channel": InvalidError,
    "invalid-event": InvalidEventError,
    "too-large": InvalidEventError,
    "invalid-argument": InvalidError,
    "closed": ClosedError,
    "timeout": DeadlineError,
    "queue-full": ProxyError,
    "forked": ForkedError,
    "io": IoError,
    "proxy-unavailable": ProxyError,
    "proxy-rejected": ProxyError,
    "unauthorized": ProxyError,
    "journal-unavailable": JournalError,
    "journal-rejected": JournalError,
    "in-callback": CallbackError,
}
