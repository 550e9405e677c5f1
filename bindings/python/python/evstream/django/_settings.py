"""The events of a Django project, from its settings."""

from __future__ import annotations

import functools
import importlib
import json
import os
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.serializers.json import DjangoJSONEncoder

from .._events import Events

if TYPE_CHECKING:
    from .channelmanager import ChannelManagerBase


@functools.cache
def events() -> Events:
    """The project's events, made from its settings when first asked for."""
    options = dict(_inherited())
    options.update(_section())
    options.pop("channel_manager", None)
    options.setdefault("json", _encode)
    if isinstance(options["json"], str):
        options["json"] = _load(options["json"])
    return Events(**cast("Any", options))


@functools.cache
def channel_manager() -> ChannelManagerBase:
    """The project's channel manager."""
    from .channelmanager import DefaultChannelManager

    manager = _section().get("channel_manager", getattr(settings, "EVENTSTREAM_CHANNELMANAGER_CLASS", None))
    if manager is None:
        return DefaultChannelManager()
    made = (_load(manager) if isinstance(manager, str) else manager)()
    return cast("ChannelManagerBase", made)


def _section() -> dict[str, Any]:
    section = getattr(settings, "EVSTREAM", {})
    if not isinstance(section, Mapping):
        raise ImproperlyConfigured("settings.EVSTREAM is a dictionary")
    return {str(name).lower(): value for name, value in section.items()}


def _inherited() -> dict[str, Any]:
    """What django-eventstream's and django-grip's settings say."""
    found: dict[str, Any] = {}
    origins = getattr(settings, "EVENTSTREAM_ALLOW_ORIGINS", None) or getattr(
        settings, "EVENTSTREAM_ALLOW_ORIGIN", None
    )
    if origins:
        found["cors_origins"] = [origins] if isinstance(origins, str) else list(origins)
    if getattr(settings, "EVENTSTREAM_ALLOW_CREDENTIALS", False):
        found["cors_credentials"] = True
    if headers := getattr(settings, "EVENTSTREAM_ALLOW_HEADERS", None):
        names = headers.split(",") if isinstance(headers, str) else headers
        found["cors_headers"] = [name.strip() for name in names]
    proxies = [_proxy_url(proxy) for proxy in getattr(settings, "GRIP_PROXIES", [])]
    if url := getattr(settings, "GRIP_URL", None) or os.environ.get("GRIP_URL"):
        proxies.append(url)
    if proxies:
        found["grip"] = proxies
    if prefix := getattr(settings, "GRIP_PREFIX", None):
        # django-eventstream puts its own prefix behind the one of django-grip.
        found["grip_prefix"] = f"{prefix}events-"
    if getattr(settings, "GRIP_PROXY_REQUIRED", False):
        found["grip_required"] = True
    if key := getattr(settings, "GRIP_VERIFY_KEY", None):
        found["grip_verify_key"] = key.decode() if isinstance(key, bytes) else key
    return found


def _proxy_url(proxy: Any) -> str:
    """The URL of a proxy that is given as django-grip has it."""
    if isinstance(proxy, str):
        return proxy
    keys = {"control_iss": "iss", "key": "key", "verify_iss": "verify-iss", "verify_key": "verify-key"}
    query = {}
    for name, parameter in keys.items():
        value = proxy.get(name)
        if value:
            query[parameter] = value.decode() if isinstance(value, bytes) else str(value)
    uri: str = proxy["control_uri"]
    return f"{uri}{'&' if '?' in uri else '?'}{urllib.parse.urlencode(query)}" if query else uri


def _load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (AttributeError, ImportError, ValueError) as error:
        raise ImproperlyConfigured(f"{path!r} cannot be imported") from error


def _encode(data: Any) -> str:
    return json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
