"""Streams in several processes, whose metrics `prometheus_client` adds up."""

import os

from flask import Flask, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from evstream import Events
from evstream.prometheus import install

events = Events()
install(events, interval=0.1)
app = Flask(__name__)
app.add_url_rule("/events/", view_func=events.flask(), endpoint="events")


@app.get("/stats")
def stats():
    return {"pid": os.getpid()}


@app.post("/publish/<channel>")
def publish(channel):
    return {"streams": events.publish(channel, "x").streams}


@app.get("/metrics")
def metrics():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return Response(generate_latest(registry), content_type="text/plain")
