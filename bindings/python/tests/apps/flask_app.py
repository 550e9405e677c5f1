"""The same streams in Flask."""

import dataclasses
import os

from flask import Flask, abort, jsonify, request

from evstream import Access, Events, Forbidden

events = Events(
    grip=os.environ.get("GRIP_URL"),
    grip_sole_publisher=True,
    adopt=os.environ.get("ADOPT", "1") == "1",
    write_timeout_ms=int(os.environ.get("WRITE_TIMEOUT_MS", "30000")),
    keep_alive_ms=int(os.environ.get("KEEP_ALIVE_MS", "20000")),
)
app = Flask(__name__)
app.add_url_rule("/events/", view_func=events.flask(), endpoint="events")
app.add_url_rule("/formats/<room>", view_func=events.flask("room-{room}"), endpoint="formats")
rooms = events.flask(lambda request: [f"room-{request.view_args['room']}"])


@app.get("/rooms/<room>")
def room(room):
    if "X-User" not in request.headers:
        abort(401)
    response = rooms(room=room)
    response.headers["X-Room"] = room
    response.set_cookie("seen", "1")
    return response


def decide(request):
    match request.args.get("as"):
        case "nobody":
            raise Forbidden("not you")
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


app.add_url_rule("/decided-sync", view_func=events.flask(decide), endpoint="decided-sync")
app.add_url_rule("/decided", view_func=events.flask(decide_later), endpoint="decided")


@app.post("/publish/<channel>")
def publish(channel):
    receipt = events.publish(channel, request.get_json(force=True), event="message")
    return jsonify(id=receipt.position, streams=receipt.streams, proxies=receipt.wait())


@app.post("/close")
def close():
    return dataclasses.asdict(events.close())


@app.get("/stats")
def stats():
    return jsonify(events.stats())


@app.after_request
def leave_a_mark(response):
    response.headers["X-After"] = "1"
    return response


if os.environ.get("GZIP") == "1":
    import gzip

    def blind(wsgi_app):
        """Compresses everything, as middleware that knows nothing of streams does."""

        def middleware(environ, start_response):
            if not environ["PATH_INFO"].startswith("/events"):
                yield from wsgi_app(environ, start_response)
                return

            def start(status, headers, exc_info=None):
                return start_response(status, [*headers, ("Content-Encoding", "gzip")], exc_info)

            import io

            body = wsgi_app(environ, start)
            sink = io.BytesIO()
            zipped = gzip.GzipFile(mode="wb", fileobj=sink)
            try:
                for chunk in body:
                    zipped.write(chunk)
                    zipped.flush()
                    yield sink.getvalue()
                    sink.seek(0)
                    sink.truncate()
                zipped.close()
                yield sink.getvalue()
            finally:
                if hasattr(body, "close"):
                    body.close()

        return middleware

    app.wsgi_app = blind(app.wsgi_app)

if os.environ.get("GRIP_URL"):
    app.wsgi_app = events.wsgi_links(app.wsgi_app)

if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ["PORT"]), threaded=True)
