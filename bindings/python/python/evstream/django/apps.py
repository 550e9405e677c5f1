"""`INSTALLED_APPS = ["evstream.django"]`: wrong settings are told when the application starts."""

from django.apps import AppConfig

from ._settings import get_events


class EvstreamConfig(AppConfig):
    """evstream as an app."""

    name = "evstream.django"
    label = "evstream"
    verbose_name = "Event streams"

    def ready(self) -> None:
        get_events()
