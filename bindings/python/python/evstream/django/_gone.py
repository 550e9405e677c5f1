"""Names of django-eventstream that evstream does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def gone(module: str, instead: str | Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for a module: importing a name from it says what to use instead, which is the same for all
    names, or is said by name."""

    def lookup(name: str) -> Any:
        advice = instead if isinstance(instead, str) else instead.get(name)
        if advice is None or name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise ImportError(f"evstream has no {name}: {advice}", name=module)

    return lookup
