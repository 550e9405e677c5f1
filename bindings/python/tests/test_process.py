"""Forks, and the end of the interpreter. Each case is a program of its own, which must end by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
import asyncio, os, signal, socket, sys, threading, time
import evstream
from evstream import Events

def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)

def is_flooded(events):
    return events.stats()["published"] > 100
"""


def run(program: str, *, code: int = 0) -> str:
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PRELUDE + program], capture_output=True, text=True, timeout=30
    )
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    assert "Fatal" not in result.stderr, result.stderr
    return result.stdout


def test_importing_starts_no_thread() -> None:
    program = """
events = Events()
events.publish("a", 1)
print(threading.active_count(), len(os.listdir("/proc/self/task")))
"""
    assert run(program) == "1 1\n"


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with-threads"])
def test_events_made_before_a_fork_begin_anew_in_the_child(busy: bool) -> None:
    program = f"""
events = Events()
parent_id = events.publish("a", 1).position
if {busy}:
    server = events.serve()
    reader = events.subscribe("a")
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    assert events.publish("a", 2).position[:8] != parent_id[:8]
    assert events.stats()["published"] == 1
    with events.subscribe("a") as own:
        assert events.publish("a", 3).streams == 1
        assert own.next(5).json() == 3
    with events.serve() as mine:
        assert mine.port > 0
    if {busy}:
        for call in (lambda: reader.next(0), server.close):
            try:
                call()
            except evstream.ForkedError as error:
                assert error.code == "forked"
            else:
                raise AssertionError("the parent's objects work in the child")
    events.close()
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert events.publish("a", 4).position[:8] == parent_id[:8]
if {busy}:
    assert reader.next(5).json() == 4
    socket.create_connection(("127.0.0.1", server.port), 5).close()
print("ok")
"""
    assert run(program) == "ok\n"


def test_a_child_does_not_wait_for_the_threads_of_its_parent() -> None:
    program = """
events = Events()
events.subscribe("a")
pid = os.fork()
if pid == 0:
    assert evstream._native.end_waiting() == 0
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
print("ok")
"""
    assert run(program) == "ok\n"


def test_a_child_does_not_keep_the_port_of_its_parent() -> None:
    program = """
import select
events = Events()
server = events.serve()
client = socket.create_connection(("127.0.0.1", server.port), 5)
client.sendall(b"GET /events/?channel=a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
assert b"stream-open" in client.recv(10000)
ready, tell = os.pipe()
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    events.publish("a", "from the child")
    os.read(ready, 1)
    os._exit(0)
events.publish("a", "from the parent")
read = b""
while b"from the parent" not in read:
    read += client.recv(10000)
assert b"from the child" not in read
server.close()
client.settimeout(5)
while client.recv(10000):
    pass
os.write(tell, b"x")
assert os.waitpid(pid, 0)[1] == 0
print("ok")
"""
    assert run(program) == "ok\n"


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(method: str, tmp_path) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        PRELUDE
        + f"""
import multiprocessing
events = Events()
def work(n):
    return events.publish("a", n).streams
if __name__ == "__main__":
    events.subscribe("a")
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        print(pool.map(work, range(4)))
"""
    )
    result = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[0, 0, 0, 0]\n"  # the receipt says that no stream of the parent was reached


@pytest.mark.parametrize(
    ("grip", "journal", "told"), [("", "", 1), ("http://127.0.0.1:9/", "", 0), ("", "file:{folder}/events", 0)]
)
def test_a_forked_worker_is_told_once_that_it_publishes_to_nobody(
    grip: str, journal: str, told: int, tmp_path: Path
) -> None:
    """As a worker of Celery does, which is forked with the application's events in it."""
    journal = journal.format(folder=tmp_path)
    program = f"""
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s")
events = Events(grip={grip!r} or None, grip_deadline_ms=100, journal={journal!r})
server = events.serve()
client = socket.create_connection(("127.0.0.1", server.port), 5)
client.sendall(b"GET /events/?channel=a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
received = b""
while b"stream-open" not in received:  # which waits for the journal
    received += client.recv(10000)
assert events.publish("a", 0).streams == 1
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    for n in range(3):
        receipt = events.publish("a", n)
        assert (receipt.streams, receipt.local_only) == (0, {not grip and not journal})
    with events.subscribe("a"):
        assert events.publish("a", 3).streams == 1
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert events.publish("b", 4).streams == 0
"""
    said = run(program)
    assert said.count("published in a forked process that has no streams") == told
    assert said.count('journal="file:/run/app/events"') == told


def test_forking_while_threads_publish() -> None:
    program = """
events = Events()
reader = events.subscribe("a")
stop = threading.Event()
def hammer():
    while not stop.is_set():
        events.publish("a", 1)
threads = [threading.Thread(target=hammer) for _ in range(3)]
for thread in threads: thread.start()
for _ in range(40):
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        events.publish("a", 2)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0, "a child hangs"
stop.set()
for thread in threads: thread.join()
print("ok")
"""
    assert run(program) == "ok\n"


ENDINGS = {
    "nothing": "",
    "a server with a stream": """
server = events.serve()
client = socket.create_connection(("127.0.0.1", server.port), 5)
client.sendall(b"GET /events/?channel=a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
assert b"stream-open" in client.recv(10000)
""",
    "a daemon thread that reads": """
read = threading.Event()
def work(reader):
    for _ in reader: read.set()
threading.Thread(target=work, args=[events.subscribe("a")], daemon=True).start()
events.publish("a", 1)
read.wait()
""",
    "a thread that works on after the main thread": """
def work():
    threading.main_thread().join()
    for n in range(10):
        assert events.publish("a", n).streams == 1
        time.sleep(0.01)
reader = events.subscribe("a")
threading.Thread(target=work).start()
""",
    "threads that publish": """
events.subscribe("a")
def flood():
    try:
        while True: events.publish("a", 1)
    except evstream.ClosedError:
        pass
for _ in range(3): threading.Thread(target=flood, daemon=True).start()
until(lambda: is_flooded(events))
""",
    "threads that never stop": """
sys.setswitchinterval(1e-6)
def read(reader):
    for _ in reader: pass
def flood():
    while True:
        try: events.publish("a", 1)
        except evstream.ClosedError: pass
for _ in range(4): threading.Thread(target=read, args=[events.subscribe("a")], daemon=True).start()
for _ in range(2): threading.Thread(target=flood, daemon=True).start()
until(lambda: is_flooded(events))
""",
    "an event loop that is flooded": """
def flood():
    try:
        while True: events.publish("a", 1)
    except evstream.ClosedError:
        pass
async def main():
    readers = [events.subscribe("a") for _ in range(10)]
    async def read(reader):
        async for _ in reader: pass
    tasks = [asyncio.create_task(read(reader)) for reader in readers]
    threading.Thread(target=flood, daemon=True).start()
    while not is_flooded(events): await asyncio.sleep(0.001)
asyncio.run(main())
""",
    "publishes in flight": "events = Events(grip='http://127.0.0.1:9/'); [events.publish('a', 1) for _ in range(10)]",
}


@pytest.mark.parametrize("what", ENDINGS.values(), ids=ENDINGS.keys())
def test_the_interpreter_ends(what: str) -> None:
    for _ in range(3):
        run("events = Events()\n" + what)


def test_subinterpreters_are_refused() -> None:
    module = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    program = f"""
import {module} as interpreters
one = interpreters.create()
try:
    failed = interpreters.run_string(one, "import sys; sys.path[:0] = %r; import evstream" % sys.path)
except Exception as error:
    failed = error
assert "ImportError" in str(failed), failed
try:
    Events().publish("a\\n", 1)
except evstream.InvalidError:
    print("refused")
"""
    assert run(program) == "refused\n"


def test_errors_have_their_classes_to_the_last() -> None:
    """When nothing can be imported any more."""
    program = """
events = Events()
class Last:
    def __del__(self):
        try:
            events.publish("a", 1)
        except evstream.ClosedError as error:
            os.write(1, error.code.encode())
evstream.last = Last()
"""
    assert run(program) == "closed"


def test_a_fork_that_calls_no_hooks() -> None:
    """As uWSGI's, which is in C."""
    program = """
import ctypes
events = Events()
channel = events.channel("a")
reader = events.subscribe("a")
parent_id = events.publish("a", 1).position
pid = ctypes.PyDLL(None).fork()
if pid == 0:
    signal.alarm(20)
    assert events.publish("a", 2).position[:8] != parent_id[:8]
    assert channel.publish(3).streams == 0
    with events.serve() as server, socket.create_connection(("127.0.0.1", server.port), 5) as client:
        client.sendall(b"GET /events/?channel=a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        assert b"stream-open" in client.recv(10000)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
print("ok")
"""
    assert run(program) == "ok\n"


def test_a_stranger_that_handles_signals_is_no_server() -> None:
    """Though it has the words of one."""
    program = """
class Stranger:
    alive, should_exit = False, True
    def handle(self, *_): pass
signal.signal(signal.SIGTERM, Stranger().handle)
events = Events()
async def main():
    sent = []
    async def send(message): sent.append(message)
    async def receive(): await asyncio.sleep(60)
    scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": "/", "headers": []}
    scope["query_string"] = b"channel=a"
    task = asyncio.create_task(events.asgi()(scope, receive, send))
    await asyncio.sleep(0.5)
    assert not task.done() and events.stats()["open"] == 1
    task.cancel()
asyncio.run(main())
environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": "channel=a"}
body = iter(events.wsgi()(environ, lambda *_: None))
assert b"stream-open" in next(body)
events.publish("a", 1)
assert b"data: 1" in next(body)
print("ok")
"""
    assert run(program) == "ok\n"


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_green_threads_go_on(library: str) -> None:
    """While there are streams, log records and readers."""
    pytest.importorskip(library)
    patch = (
        "from gevent import monkey; monkey.patch_all()"
        if library == "gevent"
        else ("import warnings; warnings.simplefilter('ignore'); import eventlet; eventlet.monkey_patch()")
    )
    program = f"""
import subprocess
{patch}
import logging, threading, time
from evstream import Events
logged = []
class Keep(logging.Handler):
    def emit(self, record): logged.append(record)
logging.getLogger("evstream").addHandler(Keep())
logging.getLogger("evstream").setLevel("INFO")
events = Events()
beats, got = [], []
def beat():
    while True: beats.append(1); time.sleep(0.01)
threading.Thread(target=beat, daemon=True).start()
reader = events.subscribe("a")
threading.Thread(target=lambda: got.extend(message.data for message in reader), daemon=True).start()
server = events.serve()
deadline = time.monotonic() + 20
def until(condition):
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
until(lambda: len(beats) > 5)
events.publish("a", 1)
until(lambda: got == ["1"])
until(lambda: any("listening" in record.getMessage() for record in logged))
events.close()
print("ok")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "ok\n"), result.stderr


def test_without_a_descriptor_left_a_stream_is_pulled() -> None:
    program = """
import resource, threading, wsgiref.simple_server
events = Events()
class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_): pass
real = os.dup
def dup(fd):
    raise OSError(24, "Too many open files")
server = wsgiref.simple_server.make_server("127.0.0.1", 0, events.wsgi(), handler_class=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.dup = dup
client = socket.create_connection(server.server_address, 5)
client.sendall(b"GET /?channel=a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
read = b""
while b"stream-open" not in read: read += client.recv(10000)
until(lambda: events.stats()["open"] == 1)
events.publish("a", 1)
while b"data: 1" not in read: read += client.recv(10000)
print("ok")
os._exit(0)
"""
    assert run(program).startswith("ok")
