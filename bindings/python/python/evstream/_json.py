"""How data is written as JSON where an application has no encoder of its own."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from collections.abc import Callable
from typing import Any


def _simplify(data: Any) -> Any:
    """What JSON has no word for, as pydantic and Django write it."""
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    if isinstance(data, datetime.datetime | datetime.date | datetime.time):
        return data.isoformat()
    if isinstance(data, uuid.UUID | decimal.Decimal):
        return str(data)
    if isinstance(data, enum.Enum):
        return data.value
    if not isinstance(data, type) and callable(dump := getattr(data, "model_dump", None)):
        return dump(mode="json")  # a model of pydantic
    raise TypeError(
        f"a {type(data).__name__} is nothing that JSON has; `Events(json=...)` takes a function that can write it, "
        "such as `pydantic_core.to_json` or `orjson.dumps`"
    )


encode: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_simplify
).encode
