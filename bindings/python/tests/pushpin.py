"""A Pushpin of a test's own, in front of a server under test."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import httpx
from support import ServerProcess, free_port, open_stream, until

SIG_KEY = "the-sig-key-of-these-tests"
CONFIGURATION = Path(__file__).parents[3] / "core" / "tests" / "pushpin"
START_TIMEOUT_S = 30.0


class Pushpin:
    """Its programs, from `start` to leaving the context, and a `Tap` between it and who publishes to it."""

    def __init__(self) -> None:
        self.port = free_port()
        self._control = free_port()
        self.tap = Tap(f"http://127.0.0.1:{self._control}")
        self._folder = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))  # short: paths of sockets are limited
        self._programs: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grip_url(self) -> str:
        """What the server in question is to be told, before it starts."""
        return f"http://127.0.0.1:{self.tap.port}/?verify-key={SIG_KEY}"

    def start(self, origin: ServerProcess) -> None:
        """Begins to pass requests on, and waits until a stream is held."""
        run = self._folder / "r"
        run.mkdir()
        (self._folder / "l").mkdir()
        (self._folder / "routes").write_text(f"* 127.0.0.1:{origin.port}\n")
        values = {"d": self._folder, "r": run, "http": self.port, "control": self._control, "sig_key": SIG_KEY}
        for name in ("pushpin", "zurl"):
            text = (CONFIGURATION / f"{name}.conf").read_text().replace("{message_wait}", "500")
            for key, value in values.items():
                text = text.replace(f"{{{key}}}", str(value))
            (self._folder / f"{name}.conf").write_text(text)
        pushpin = [f"--config={self._folder}/pushpin.conf", "--ipc-prefix=p-", "--loglevel=2"]
        listen = [f"--listen=127.0.0.1:{self.port},stream", f"--zclient-stream=ipc://{run}/p-condure"]
        self._run("condure", "--log-level=2", *listen, "--buffer-size=8192", "--stream-maxconn=1000")
        self._run("zurl", f"--config={self._folder}/zurl.conf", "--loglevel=2")
        self._run("pushpin-proxy", *pushpin)
        self._run("pushpin-handler", *pushpin)
        until(self._is_up, "Pushpin holds a stream", START_TIMEOUT_S)

    def __enter__(self) -> Pushpin:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            program.send_signal(signal.SIGKILL)
            program.wait()
        self.tap.close()
        shutil.rmtree(self._folder)

    def _run(self, *command: str) -> None:
        log = (self._folder / "l" / f"{command[0]}.log").open("wb")
        # Not even a killed test leaves them behind.
        guarded = ["setpriv", "--pdeathsig", "KILL", *command]
        self._programs.append(subprocess.Popen(guarded, cwd=self._folder, stdout=log, stderr=log))
        log.close()

    def _is_up(self) -> bool:
        ended = [program.args for program in self._programs if program.poll() is not None]
        assert not ended, f"{ended} has ended"
        with contextlib.suppress(httpx.TransportError), open_stream(f"{self.url}/events/?channel=ready") as client:
            return client.response.status_code == 200 and client.next().event == "stream-open"
        return False


class Tap:
    """Stands in for the proxy's control API and passes on what is published, or while `loses` is set says so only."""

    def __init__(self, to: str) -> None:
        self.loses = False
        tap = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = 200, b"Published\n"
                if not tap.loses:
                    passed = httpx.post(to + self.path, content=body, trust_env=False)
                    status, answer = passed.status_code, passed.content
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
