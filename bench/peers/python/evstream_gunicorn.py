"""evstream in Flask on one sync worker of gunicorn."""

import gc
import http.client
import os
import socket
import threading

from commands import obey_in_thread, ready
from flask import Flask
from gunicorn.app.base import BaseApplication

from evstream import Events

events = Events()
app = Flask(__name__)
app.add_url_rule("/events/", view_func=events.flask())
listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
address = listener.getsockname()


def begin(_: object) -> None:
    """Called in the worker, where events are published."""
    threading.Thread(target=warm_up, daemon=True).start()


def warm_up() -> None:
    """Answers short requests first: a worker shares its memory with the process it was forked from until it has used
    it, which is no memory of streams."""
    for _ in range(WARM_UP_REQUESTS):
        connection = http.client.HTTPConnection(*address)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
    gc.collect()
    obey_in_thread(lambda channel, data: events.publish(channel, text=data, event="message"), os.fdopen(STDIN))
    ready("{}:{}".format(*address), "/events/?channel={channel}")


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


WARM_UP_REQUESTS = 500
STDIN = os.dup(0)
Application().run()
