"""The project's events in Django: its settings, and applications that were written for django-eventstream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import django
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.test import Client, override_settings

if not settings.configured:
    settings.configure(
        SECRET_KEY="test",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "evstream.django"],
        MIDDLEWARE=["evstream.django.LinksMiddleware", f"{__name__}.sign_in"],
    )
    django.setup()

from django.contrib.auth.models import AnonymousUser
from django.urls import include, path

import evstream.django
from evstream.django import DefaultChannelManager, _settings, channel_permission_changed, events, send_event

urlpatterns = [
    path("fixed/", include(evstream.django.urls), {"channels": ["news", "sport"]}),
    path("rooms/<room>/", include(evstream.django.urls), {"format-channels": ["room-{room}"]}),
    path("one/<channel>/", include(evstream.django.urls)),
    path("events/", include(evstream.django.urls)),
]


class User:
    is_authenticated = True
    pk = 7


def sign_in(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        request.user = User() if "X-User" in request.headers else AnonymousUser()
        return get_response(request)

    return middleware


class Guarded(DefaultChannelManager):
    """As the documentation of django-eventstream has it."""

    def can_read_channel(self, user: Any, channel: str) -> bool:
        return not channel.startswith("_") or user is not None


class Leaving(DefaultChannelManager):
    left: ClassVar[set[int | None]] = set()

    def can_read_channel(self, user: Any, channel: str) -> bool:
        return (None if user is None else user.pk) not in self.left


class Chosen(DefaultChannelManager):
    def get_channels_for_request(self, request: Any, view_kwargs: Any) -> Any:
        if "as" not in request.GET:
            raise PermissionDenied("say who you are")
        return {f"for-{request.GET['as']}"}


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """The project is started anew for each test."""
    forget()
    yield
    events().close()
    forget()


def forget() -> None:
    _settings.events.cache_clear()
    _settings.channel_manager.cache_clear()


def first_event(url: str, **headers: str) -> tuple[str, Any]:
    """The name and the data of a stream's first event."""
    response = Client().get(url, headers=headers)
    assert response.status_code == 200
    content = response.streaming_content if response.streaming else iter([response.content])
    fields = dict(line.split(": ", 1) for line in next(content).decode().split("\n\n")[0].split("\n"))
    response.close()
    return fields["event"], json.loads(fields["data"])


@pytest.mark.parametrize(
    ("url", "channels"),
    [
        ("/fixed/", ["news", "sport"]),
        ("/rooms/7/", ["room-7"]),
        ("/one/tea/", ["tea"]),
        ("/events/?channel=b&channel=a", ["a", "b"]),
    ],
)
def test_channels_come_from_the_pattern_or_the_query(url: str, channels: list[str]) -> None:
    assert first_event(url) == ("stream-open", {"channels": channels})


@pytest.mark.parametrize("how", ["EVENTSTREAM_CHANNELMANAGER_CLASS", "EVSTREAM"])
def test_a_channel_manager_decides_who_may_read(how: str) -> None:
    name = f"{__name__}.Guarded"
    with override_settings(**{how: name if how != "EVSTREAM" else {"channel_manager": Guarded}}):
        name, data = first_event("/events/?channel=_private&channel=open")
        assert (name, data["condition"], data["text"]) == (
            "stream-error",
            "forbidden",
            "Permission denied to channels: _private",
        )
        assert first_event("/events/?channel=open")[0] == "stream-open"
        assert first_event("/events/?channel=_private", X_User="7")[0] == "stream-open"


@override_settings(EVENTSTREAM_CHANNELMANAGER_CLASS=f"{__name__}.Leaving")
def test_who_may_not_read_any_more_is_disconnected() -> None:
    def opened(**headers: str) -> Iterator[str]:
        content = (piece.decode() for piece in Client().get("/fixed/", headers=headers).streaming_content)
        assert "stream-open" in next(content)
        return content

    Leaving.left.clear()
    member, visitor = opened(X_User="7"), opened()
    channel_permission_changed(User(), "news")  # nothing has changed
    send_event("news", "message", 1)
    assert "data: 1" in next(member)
    assert "data: 1" in next(visitor)
    Leaving.left.add(7)
    channel_permission_changed(User(), "other")
    channel_permission_changed(User(), "news")
    send_event("news", "message", 2)
    end = "".join(member)
    assert '"condition":"forbidden","text":"Permission denied to channels: news"' in end
    assert "data: 2" not in end
    assert "data: 2" in next(visitor)
    Leaving.left.add(None)
    channel_permission_changed(None, "news")
    assert '"reason":"reauthorize"' in "".join(visitor)


@override_settings(EVENTSTREAM_CHANNELMANAGER_CLASS=f"{__name__}.Chosen")
def test_a_channel_manager_decides_on_channels() -> None:
    assert first_event("/fixed/?as=bob") == ("stream-open", {"channels": ["for-bob"]})
    name, data = first_event("/fixed/")
    assert (name, data["text"]) == ("stream-error", "say who you are")


@override_settings(GRIP_URL="http://127.0.0.1:9/", GRIP_PROXY_REQUIRED=True)
def test_a_request_that_did_not_come_through_the_proxy_is_refused() -> None:
    assert Client().get("/events/?channel=a").status_code == 501


@override_settings(EVENTSTREAM_CHANNELMANAGER_CLASS="no.such.manager")
def test_a_channel_manager_that_cannot_be_imported_is_told_at_the_start() -> None:
    from django.apps import apps

    with pytest.raises(ImproperlyConfigured, match="cannot be imported"):
        apps.get_app_config("evstream").ready()


def test_sending_an_event() -> None:
    with events().subscribe("a") as reader:
        send_event("a", "message", {"n": 1})
        send_event("a", "message", "as it is", json_encode=False, async_publish=False)
        first, second = reader.next(5), reader.next(5)
        assert isinstance(first, evstream.Received)
        assert isinstance(second, evstream.Received)
        assert (first.event, first.data, second.data) == ("message", '{"n":1}', "as it is")
    with pytest.raises(evstream.InvalidError, match="use a channel that those users do not read"):
        send_event("a", "message", 1, skip_user_ids=["7"])


@override_settings(GRIP_URL="http://127.0.0.1:9/", EVSTREAM={"grip_deadline_ms": 100})
def test_sending_an_event_and_waiting_for_the_proxy() -> None:
    with pytest.raises(evstream.ProxyError):
        send_event("a", "message", 1, async_publish=False)


def test_settings_of_django_grip_and_django_eventstream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIP_URL", "http://environment:5561/")
    proxy = {"control_uri": "http://one:5561", "control_iss": "me", "key": b"k&y", "verify_key": "v"}
    with override_settings(
        GRIP_PROXIES=[proxy, "http://two:5561/"],
        GRIP_PREFIX="site-",
        GRIP_PROXY_REQUIRED=True,
        GRIP_VERIFY_KEY=b"0123456789abcdef",
        EVENTSTREAM_ALLOW_ORIGINS=["https://example.com"],
        EVENTSTREAM_ALLOW_CREDENTIALS=True,
        EVENTSTREAM_ALLOW_HEADERS="X-One, X-Two",
        EVSTREAM={"HISTORY_EVENTS": 7},
    ):
        options = events()._source.options
    assert options == {
        "grip": ["http://one:5561?iss=me&key=k%26y&verify-key=v", "http://two:5561/", "http://environment:5561/"],
        "grip_prefix": "site-events-",
        "grip_required": True,
        "grip_verify_key": "0123456789abcdef",
        "cors_origins": ["https://example.com"],
        "cors_credentials": True,
        "cors_headers": ["X-One", "X-Two"],
        "history_events": 7,
    }


@pytest.mark.parametrize(
    ("section", "error", "text"),
    [
        ([], ImproperlyConfigured, "a dictionary"),
        ({"json": "no.such.encoder"}, ImproperlyConfigured, "cannot be imported"),
        ({"historyevents": 1}, evstream.ConfigError, "there is no setting"),
    ],
)
def test_wrong_settings_are_told(section: Any, error: type[Exception], text: str) -> None:
    with override_settings(EVSTREAM=section), pytest.raises(error, match=text):
        events()
