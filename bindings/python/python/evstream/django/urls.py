"""`path("events/", include(evstream.django.urls), {"channels": ["test"]})`: the streams, and below them the links by
which GRIP proxies repair them."""

from django.urls import path, re_path

from ._stream import stream

app_name = "evstream"
urlpatterns = [
    path("", stream, name="stream"),
    re_path(r"^evs1-[A-Za-z0-9_-]+/?$", stream, name="link"),
]
