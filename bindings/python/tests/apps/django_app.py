"""The same streams in Django: settings, URLs and applications for WSGI and ASGI in one file."""

import dataclasses
import json
import os
import sys

import django
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

import evstream.django
from evstream import Access, Forbidden
from evstream.django import send_event
from evstream.django.channelmanager import DefaultChannelManager


class Channels(DefaultChannelManager):
    def can_read_channel(self, user, channel):
        return channel != "secret"


if not settings.configured:
    sys.modules["django_app"] = sys.modules[__name__]
    settings.configure(
        DEBUG=False,
        SECRET_KEY="test",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="django_app",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "evstream.django"],
        MIDDLEWARE=[
            *(["evstream.django.LinksMiddleware"] if "GRIP_URL" in os.environ else []),
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            *(["django.middleware.gzip.GZipMiddleware"] if os.environ.get("GZIP") == "1" else []),
            "django_app.leave_a_mark",
        ],
        EVSTREAM={
            "grip_sole_publisher": True,
            "adopt": os.environ.get("ADOPT", "1") == "1",
            "write_timeout_ms": int(os.environ.get("WRITE_TIMEOUT_MS", "30000")),
            "keep_alive_ms": int(os.environ.get("KEEP_ALIVE_MS", "20000")),
            "channel_manager": "django_app.Channels",
        },
        WSGI_APPLICATION="django_app.application",
    )
    django.setup()

events = evstream.django.events()


def leave_a_mark(get_response):
    def middleware(request):
        response = get_response(request)
        response["X-After"] = "1"
        return response

    return middleware


rooms = events.django(lambda request: [f"room-{request.resolver_match.kwargs['room']}"])


def room(request, room):
    if "X-User" not in request.headers:
        return HttpResponse("please log in", status=401)
    response = rooms(request, room=room)
    response["X-Room"] = room
    response.set_cookie("seen", "1")
    return response


def decide(request):
    match request.GET.get("as"):
        case "nobody":
            raise Forbidden("not you")
        case "denied":
            raise PermissionDenied("not you")
        case "false":
            return False
        case "broken":
            raise KeyError("oops")
        case "access":
            return Access(["asked"], user="bob")
        case "true":
            return True
        case "none":
            return None
        case "empty":
            return []
        case "mistyped":
            return {"x": True}
    return ["asked"]


async def decide_later(request):
    return decide(request)


@csrf_exempt
def publish(request, channel):
    receipt = send_event(channel, "message", json.loads(request.body))
    return JsonResponse({"id": receipt.position, "streams": receipt.streams, "proxies": receipt.wait()})


urlpatterns = [
    path("events/", include(evstream.django.urls)),
    path("fixed/", include((evstream.django.urls.urlpatterns, "fixed")), {"channels": ["test"]}),
    path(
        "formats/<room>", include((evstream.django.urls.urlpatterns, "formats")), {"format-channels": ["room-{room}"]}
    ),
    path("rooms/<room>", room),
    path("decided", events.django(decide_later)),
    path("decided-sync", events.django(decide)),
    path("publish/<channel>", publish),
    path("close", csrf_exempt(lambda request: JsonResponse(dataclasses.asdict(events.close())))),
    path("stats", lambda request: JsonResponse(events.stats())),
]

if os.environ.get("INTERFACE") == "asgi":
    from django.core.asgi import get_asgi_application

    application = get_asgi_application()
else:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", "runserver", os.environ["PORT"], *sys.argv[1:]])
