"""evstream in Flask on one sync worker of gunicorn."""

import os
import socket

from commands import obey_in_thread, ready
from flask import Flask
from gunicorn.app.base import BaseApplication

from evstream import Events

events = Events()
app = Flask(__name__)
app.add_url_rule("/events/", view_func=events.flask())
listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
address = "{}:{}".format(*listener.getsockname())


def begin(_: object) -> None:
    """Called in the worker, where events are published."""
    obey_in_thread(lambda channel, data: events.publish(channel, text=data, event="message"), os.fdopen(STDIN))
    ready(address, "/events/?channel={channel}")


class Application(BaseApplication):
    def load_config(self) -> None:
        for name, value in {
            "bind": f"fd://{listener.detach()}",
            "workers": 1,
            "worker_class": "sync",
            "timeout": 0,
            "loglevel": "error",
            "post_worker_init": begin,
            # When the worker ends, which is at the end of the commands, all does.
            "child_exit": lambda arbiter, worker: os._exit(0),
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return app


STDIN = os.dup(0)
Application().run()
