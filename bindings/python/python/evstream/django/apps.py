"""`INSTALLED_APPS = ["evstream.django"]`: wrong settings are told when the application starts."""

from django.apps import AppConfig
from django.core import checks

from ._settings import channel_manager, events
from .checks import check_settings


class EvstreamConfig(AppConfig):
    """evstream as an app."""

    name = "evstream.django"
    label = "evstream"
    verbose_name = "Event streams"

    def ready(self) -> None:
        events()
        channel_manager()
        checks.register(check_settings)
