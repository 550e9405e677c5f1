"""Large events in pieces, so that a slow client that takes one after the other is not taken for a dead one."""

from __future__ import annotations

from collections.abc import Iterator

PIECE_BYTES = 65_536


def pieces(chunk: bytes) -> Iterator[bytes]:
    """The same bytes, no more at a time than servers keep for a client."""
    if len(chunk) <= PIECE_BYTES:
        if chunk:
            yield chunk
        return
    for start in range(0, len(chunk), PIECE_BYTES):
        yield chunk[start : start + PIECE_BYTES]
