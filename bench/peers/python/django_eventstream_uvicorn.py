"""django-eventstream under uvicorn, without storage."""

import socket

import uvicorn
from commands import obey_in_thread, ready
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="bench",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_eventstream"],
)
from django.core.asgi import get_asgi_application  # noqa: E402 - needs the settings

application = get_asgi_application()

import django_eventstream.urls  # noqa: E402
from django.urls import include, path  # noqa: E402
from django_eventstream import send_event  # noqa: E402

urlpatterns = [path("events/", include(django_eventstream.urls))]
listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
obey_in_thread(lambda channel, data: send_event(channel, "message", data, json_encode=False))
host, port = listener.getsockname()
ready(f"{host}:{port}", "/events/?channel={channel}")
config = uvicorn.Config(application, log_level="warning", access_log=False, backlog=4096, lifespan="off")
uvicorn.Server(config).run(sockets=[listener])
