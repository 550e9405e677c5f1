"""Tokens that decide who may read what, in mounts and at the own server. The vectors have which are accepted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from support import until

from evstream import ConfigError, Events, InvalidError, Jwt

SECRET = "a secret of some length"


def token(secret: str = SECRET, **more: Any) -> str:
    claims = {"sub": "bob", "exp": int(time.time()) + 300, "evstream": {"channels": ["a"]}, **more}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    message = b".".join(map(encoded, parts))
    return (message + b"." + encoded(hmac.digest(secret.encode(), message, hashlib.sha256))).decode()


def encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


@pytest.fixture
def events() -> Iterator[Events]:
    with Events() as events:
        yield events


def test_the_own_server(events: Events) -> None:
    with events.serve(channels=Jwt(SECRET)) as server:
        url = f"http://{server.address}/events/"
        assert httpx.get(url).headers["www-authenticate"] == "Bearer"
        cookie = f"__Secure-evstream={token(exp=int(time.time()) + 3)}"
        with httpx.stream("GET", url, headers={"cookie": cookie}, timeout=30) as response:
            lines = response.iter_lines()
            assert next(lines) == "event: stream-open"
            assert next(lines) == 'data: {"channels":["a"]}'
            events.publish("a", "hi")
            rest = list(lines)
        assert 'data: "hi"' in rest
        assert 'data: {"reason":"expired"}' in rest
        until(lambda: events.stats()["closed"]["expired"] == 1, "it is counted")
        assert events.stats()["tokens_refused"] == 1


def test_a_mount(events: Events) -> None:
    app = events.wsgi(channels=Jwt([SECRET, "another secret of that length"], issuer="me", audience=["live"]))
    heads: list[tuple[str, dict[str, str]]] = []

    def ask(given: str) -> Any:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "QUERY_STRING": "channel=a",
            "HTTP_AUTHORIZATION": f"Bearer {given}",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        return app(environ, lambda status, headers, exc_info=None: heads.append((status, dict(headers))))

    stream = ask(token("another secret of that length", iss="me", aud="live"))
    assert b'stream-open\ndata: {"channels":["a"]}' in next(iter(stream))
    stream.close()
    assert b"the token is not accepted" in b"".join(ask(token(iss="me")))
    status, headers = heads[1]
    assert (heads[0][0], status) == ("200 OK", "401 Unauthorized")
    assert headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert events.stats()["tokens_refused"] == 1


async def test_an_asgi_mount_asks_for_a_token(events: Events) -> None:
    transport = httpx.ASGITransport(events.asgi(channels=Jwt(SECRET)))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        refused = await client.get("/?channel=b", headers={"authorization": f"Bearer {token()}"})
        assert 'does not grant the channel \\"b\\"' in refused.text
        missing = await client.get("/", headers={"accept": "text/event-stream"})
        assert (missing.status_code, "a token is needed" in missing.text) == (200, True)


def test_what_cannot_be_safe_is_refused() -> None:
    for key in ("changeme", "short", "", [], ["-----BEGIN PUBLIC KEY-----"], [SECRET] * 9):
        with pytest.raises(ConfigError):
            Jwt(key)
    with pytest.raises(ConfigError, match="__Secure-"):
        Jwt(SECRET, cookie="token")
    for arguments in ({"key": 7}, {"key": [7]}, {"key": SECRET, "audience": 7}):
        with pytest.raises(InvalidError):
            Jwt(**arguments)
    assert SECRET not in repr(Jwt(SECRET))


# A key of an issuer, and a token that it has signed, up to the year 2100.
PUBLIC = {
    "kty": "EC",
    "x": "WHdGaWLwHpWyM34QU21CQtTWC0IePOJKLOwwDWmAMdw",
    "y": "XWORaTXjqtDecev7XkBAWBP2Vkbtb1Ahgn3cYN667ms",
    "crv": "P-256",
    "kid": "1",
    "use": "sig",
    "alg": "ES256",
}
SIGNED = (
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ"
    ".eyJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDAsImV2c3RyZWFtIjp7ImNoYW5uZWxzIjpbImEiXX19"
    ".5HHTlP7TakWvuF3xC_Y_3cizOW7PFygpi_uIh03JtviYG9JyUuCeDtzEswX7KvuGABUQbKlwh8PKcXOCSu3-jQ"
)


def test_keys_at_an_address(events: Events) -> None:
    """Until they are known, clients are told to come back; then their tokens are good."""
    may_answer = threading.Event()

    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            may_answer.wait(60)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [PUBLIC]}).encode())

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Issuer) as issuer:
        threading.Thread(target=issuer.serve_forever, daemon=True).start()
        jwt = Jwt(f"http://127.0.0.1:{issuer.server_port}/keys")
        with events.serve(channels=jwt) as server:

            def status() -> int:
                headers = {"authorization": f"Bearer {SIGNED}", "accept": "*/*"}
                with httpx.stream("GET", f"http://{server.address}/events/", headers=headers, timeout=30) as response:
                    return response.status_code

            assert status() == 503
            may_answer.set()
            until(lambda: status() == 200, "the keys are known")
        issuer.shutdown()


@pytest.mark.parametrize(
    "key", ["http://login.example.com/keys", "https://a:b@example.com/", "https://", ["https://a/", "https://b/"]]
)
def test_an_address_of_keys_that_cannot_be_safe(key: Any) -> None:
    with pytest.raises(ConfigError):
        Jwt(key)
