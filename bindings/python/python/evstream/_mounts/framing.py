"""Reading back what a server has written for our head and first bytes, before its socket is taken over.

This proves that nothing between us and the socket changes the bytes, such as middleware that compresses, and tells how
the body is framed.
"""

from __future__ import annotations


def is_chunked(written: bytes, first: bytes) -> bool | None:
    """Whether a server that wrote `written` for the body `first` frames it in chunks; `None` when it wrote something
    else. The head may have gone out before."""
    head, body = b"", written
    if written.startswith(b"HTTP/1."):
        head, separator, body = written.partition(b"\r\n\r\n")
        names = {line.partition(b":")[0].strip().lower() for line in head.split(b"\r\n")[1:]}
        if not separator or names & {b"content-length", b"content-encoding"}:
            return None
    if body == first and b"transfer-encoding" not in head.lower():
        return False
    size, _, chunk = body.partition(b"\r\n")
    try:
        if int(size, 16) == len(first) and chunk == first + b"\r\n":
            return True
    except ValueError:
        pass
    return None
