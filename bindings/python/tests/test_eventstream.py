"""Applications that were written for django-eventstream, with changed imports: in the shape of its examples."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import test_django  # which has the settings
from django.contrib.staticfiles import finders
from django.core import checks
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.views import APIView

import evstream
import evstream.django
from evstream.django import get_current_event_id, send_event
from evstream.django.channelmanager import DefaultChannelManager
from evstream.django.models import Event
from evstream.django.renderers import SSEEventRenderer
from evstream.django.views import EventsViewSet
from evstream.django.views import events as stream
from evstream.django.viewsets import configure_events_view_set

messages: list[dict[str, Any]] = []


class MyChannelManager(DefaultChannelManager):
    def can_read_channel(self, user: Any, channel: str) -> bool:
        return not channel.startswith("_")

    def is_channel_reliable(self, channel: str) -> bool:
        return not channel.startswith("~")


def room(request: Any, room_id: str) -> HttpResponse:
    """As in the chat: a page with the messages, and the position from which its stream goes on."""
    last_id = get_current_event_id([f"room-{room_id}"])
    if request.method == "POST":
        messages.append({"text": request.POST["text"]})
        send_event(f"room-{room_id}", "message", messages[-1])
    return HttpResponse(json.dumps({"messages": messages, "last-event-id": last_id}))


class RoomEvents(EventsViewSet):
    def list(self, request: Any, room_id: str = "") -> Any:
        self.channels = [f"room-{room_id}"]
        return super().list(request)


class Plain(APIView):
    renderer_classes = (JSONRenderer, SSEEventRenderer)

    def get(self, request: Any) -> Any:
        if "stream" not in request.query_params:
            return Response({"plain": True})
        return stream(request, channels=["rest"])


router = DefaultRouter()
router.register("rooms/(?P<room_id>[^/]+)/events", RoomEvents, basename="room-events")
router.register("any", EventsViewSet, basename="any")
router.register("news", configure_events_view_set(channels=["news"], messages_types=["x"]), basename="news")
urlpatterns = [
    path("rooms/<room_id>/messages/", room),
    path("events/", include(evstream.django.urls)),
    path("rooms/<room_id>/events/", include((evstream.django.urls, "e")), {"format-channels": ["room-{room_id}"]}),
    path("rest/", include(router.urls)),
    path("plain/", Plain.as_view()),
]


@pytest.fixture(autouse=True)
def anew() -> Any:
    test_django.forget()
    messages.clear()
    with override_settings(
        ROOT_URLCONF=__name__,
        EVENTSTREAM_CHANNELMANAGER_CLASS=f"{__name__}.MyChannelManager",
        REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
    ):
        yield
        evstream.django.events().close()
    test_django.forget()


def open_events(url: str, **headers: str) -> list[tuple[str, Any]]:
    """The events that a stream begins with."""
    response = Client().get(url, headers={"Accept": "text/event-stream", **headers})
    assert response.status_code == 200, response.content
    text = next(iter(response.streaming_content)) if response.streaming else response.content
    response.close()
    names = re.findall(r"^event: (.*)$", text.decode(), re.MULTILINE)
    data = re.findall(r"^data: (.*)$", text.decode(), re.MULTILINE)
    return [(name, json.loads(each)) for name, each in zip(names, data, strict=True)]


def test_a_page_and_its_stream_are_joined() -> None:
    client = Client()
    client.post("/rooms/1/messages/", {"text": "one"})
    page = json.loads(client.get("/rooms/1/messages/").content)
    assert page["messages"] == [{"text": "one"}]
    client.post("/rooms/1/messages/", {"text": "two"})
    response = client.get(f"/rooms/1/events/?lastEventId={page['last-event-id']}")
    content = iter(response.streaming_content)
    text = next(content) + next(content)
    assert b'"two"' in text
    assert b'"one"' not in text
    response.close()


def test_a_channel_manager_as_in_the_clock() -> None:
    assert open_events("/events/?channel=test") == [("stream-open", {"channels": ["test"]})]
    ((name, data),) = open_events("/events/?channel=_test")
    assert (name, data["condition"]) == ("stream-error", "forbidden")
    assert Event.objects.count() == 0  # "see if db tables are present"
    with pytest.raises(evstream.InvalidError, match="kept in memory"):
        Event.objects.filter(channel="a")
    with pytest.raises(evstream.InvalidError, match="send_event"):
        Event(channel="a")


@pytest.mark.parametrize(
    ("url", "channels"),
    [
        ("/rest/rooms/7/events/", ["room-7"]),
        ("/rest/any/?channels=a,b", ["a", "b"]),
        ("/rest/any/tea/", ["tea"]),
        ("/rest/news/", ["news"]),
        ("/plain/?stream=1", ["rest"]),
    ],
)
def test_django_rest_framework(url: str, channels: list[str]) -> None:
    assert open_events(url) == [("stream-open", {"channels": channels})]


def test_a_viewset_refuses() -> None:
    ((name, data),) = open_events("/rest/any/_secret/")
    assert (name, data["condition"]) == ("stream-error", "forbidden")
    answer = Client().get("/rest/news/?channels=other", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 400
    data = dict(line.split(": ", 1) for line in answer.content.decode().splitlines() if line)["data"]
    assert json.loads(data) == {
        "condition": "bad-request",
        "text": "the channels of this stream are fixed, and the query names others",
        "channels": [],
    }
    assert Client().get("/plain/").json() == {"plain": True}


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [
        ("", "EventRequest", "Django's request"),
        ("", "EventResponse", "streams give clients"),
        ("", "EventPermissionError", "Forbidden"),
        ("storage", "DjangoModelStorage", "history_events"),
        ("utils", "sse_encode_event", "send_event"),
        ("event", "Event", "send_event"),
        ("eventrequest", "EventRequest", "Django's request"),
        ("eventresponse", "EventResponse", "streams give clients"),
    ],
)
def test_what_is_not_there_says_what_to_use(module: str, name: str, advice: str) -> None:
    found = importlib.import_module(f"evstream.django.{module}".rstrip("."))
    with pytest.raises(ImportError, match=advice):
        getattr(found, name)
    with pytest.raises(AttributeError):
        found.__nothing__  # noqa: B018


def test_functions_that_are_not_there_say_what_to_use() -> None:
    with pytest.raises(evstream.InvalidError, match="subscribe"):
        evstream.django.get_events(object(), limit=10, user=None)


def test_what_has_no_effect_is_told_by_a_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ids() -> list[str]:
        return [message.id for message in checks.run_checks() if str(message.id).startswith("evstream")]

    assert ids() == ["evstream.W005"]
    with override_settings(
        EVENTSTREAM_REDIS={"host": "localhost"},
        EVENTSTREAM_STORAGE_CLASS="evstream.django.storage.DjangoModelStorage",
        EVENTSTREAM_STORAGE_CONNECTION="other",
        MIDDLEWARE=["django_grip.GripMiddleware"],
    ):
        assert ids() == [f"evstream.W00{number}" for number in range(1, 6)]
        hints = {message.id: str(message.hint) for message in checks.run_checks()}
        assert '{"journal": "redis://host:6379/0"}' in hints["evstream.W001"]
        monkeypatch.setenv("EVSTREAM_JOURNAL", f"file:{tmp_path}/events")
        test_django.forget()
        assert ids() == ["evstream.W004", "evstream.W005"]
        monkeypatch.delenv("EVSTREAM_JOURNAL")
        with override_settings(EVSTREAM={"journal": f"file:{tmp_path}/events"}):
            test_django.forget()
            assert ids() == ["evstream.W004", "evstream.W005"]
    test_django.forget()
    with override_settings(EVENTSTREAM_CHANNELMANAGER_CLASS=None):
        assert ids() == []


def test_the_scripts_of_its_pages() -> None:
    with override_settings(
        STATICFILES_FINDERS=["django.contrib.staticfiles.finders.AppDirectoriesFinder"], STATIC_URL="/s/"
    ):
        for name in ("reconnecting-eventsource.js", "eventsource.min.js", "json2.js"):
            found = finders.find(f"django_eventstream/{name}")
            assert found
            assert Path(found).read_text().startswith("//")
