"""Processes that end by `os._exit`, without `atexit`: what they have published to a journal is there nevertheless."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from support import Redis, until

from evstream import Events

COUNT = 3_000
TIMEOUT_S = 60

PROGRAM = """
import concurrent.futures, {package} as package, os, sys, threading
from evstream import Events

events = Events(journal=os.environ["JOURNAL"])
if __name__ == "__mp_main__" and {early}:
    events.publish("early", 0).wait()

def work(count):
    for number in range(count):
        events.publish("a", number)

def other(count):
    # Events of its own, which are gone when it ends, on another thread.
    def publish():
        own = Events(journal=os.environ["JOURNAL"])
        for number in range(count):
            own.publish("a", number)
    thread = threading.Thread(target=publish)
    thread.start()
    thread.join()

def pool():
    with concurrent.futures.ProcessPoolExecutor(1, package.get_context("{method}")) as executor:
        executor.submit(work, {count}).result()

if __name__ == "__main__":
    if "{target}" == "pool":
        sys.exit(pool())
    child = package.get_context("{method}").Process(target={target}, args=[{count}])
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


@pytest.fixture(params=["file", "redis"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file:{tmp_path}/events"
    url: str = request.getfixturevalue("redis").url
    return url


@pytest.mark.parametrize(
    ("package", "method", "target", "early"),
    [
        ("multiprocessing", "fork", "work", False),
        ("multiprocessing", "fork", "other", False),
        ("multiprocessing", "fork", "pool", False),
        ("multiprocessing", "forkserver", "work", False),
        ("multiprocessing", "forkserver", "work", True),
        ("multiprocessing", "spawn", "work", False),
        ("billiard", "fork", "work", False),
    ],
)
def test_a_child_that_returns(
    package: str, method: str, target: str, early: bool, journal: str, tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(package=package, method=method, target=target, early=early, count=COUNT))
    with Events(journal=journal, backlog_events=2 * COUNT) as events, events.subscribe("a") as reader:
        result = subprocess.run(
            [sys.executable, str(path)], env={"JOURNAL": journal}, capture_output=True, text=True, timeout=TIMEOUT_S
        )
        assert (result.returncode, result.stderr) == (0, "")
        events.publish("a", "end").wait()
        seen = [reader.next(TIMEOUT_S).json()]  # type: ignore[union-attr]
        while seen[-1] != "end":
            seen.append(reader.next(TIMEOUT_S).json())  # type: ignore[union-attr]
    assert seen == [*range(COUNT), "end"]


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_child_says_what_the_journal_has_not_taken(method: str, tmp_path: Path) -> None:
    """And does not wait for longer than the setting says."""
    path = tmp_path / "program.py"
    program = PROGRAM.format(package="multiprocessing", method=method, target="work", early=False, count=3)
    path.write_text(program.replace('["JOURNAL"])', '["JOURNAL"], journal_deadline_ms=300)'))
    nowhere = f"redis+unix://{tmp_path}/nowhere"
    result = subprocess.run(
        [sys.executable, str(path)], env={"JOURNAL": nowhere}, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert result.returncode == 0
    assert "events could not be appended to the journal" in result.stderr


def test_a_child_that_publishes_to_a_proxy(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    program = PROGRAM.format(package="multiprocessing", method="fork", target="work", early=False, count=500)
    path.write_text(program.replace("journal=", "grip="))
    with Events(backlog_events=COUNT) as events, events.serve(accept_publish=True) as proxy:
        reader = events.subscribe("a")
        env = {"JOURNAL": f"http://127.0.0.1:{proxy.port}"}
        result = subprocess.run([sys.executable, str(path)], env=env, capture_output=True, text=True, timeout=TIMEOUT_S)
        assert result.returncode == 0, result.stderr
        seen = [reader.next(TIMEOUT_S).json() for _ in range(500)]  # type: ignore[union-attr]
    assert seen == list(range(500))


@pytest.mark.parametrize(("keep", "said"), [("(events := ", "undelivered=1"), ("(", "events=1")], ids=["kept", "gone"])
def test_a_process_that_only_publishes_says_at_its_end_what_is_lost(keep: str, said: str, tmp_path: Path) -> None:
    """Also when the events are gone, and the core is alone with what is left."""
    program = f"import evstream; {keep}evstream.Events(journal='redis+unix://{tmp_path}/nowhere')).publish('a', 1)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_S)
    assert result.returncode == 0
    assert said in result.stderr


CELERY = """
import os
from celery import Celery
from evstream import Events

folder = os.environ["FOLDER"]
app = Celery("tasks", broker="filesystem://", broker_transport_options={
    "data_folder_in": folder + "/queue", "data_folder_out": folder + "/queue", "control_folder": folder + "/control"})
events = Events(journal=os.environ["JOURNAL"], journal_deadline_ms=60_000)

@app.task
def work(count):
    for number in range(count):
        events.publish("a", number)
    with open(folder + "/written", "w") as file:
        file.write(str(os.getpid()))
    os.rename(folder + "/written", folder + "/done")
"""


def test_celery(redis: Redis, tmp_path: Path) -> None:
    """Whose worker processes end without `atexit` a second after their last task."""
    (tmp_path / "tasks.py").write_text(CELERY)
    (tmp_path / "queue").mkdir()
    (tmp_path / "control").mkdir()
    with Events(journal=redis.url, backlog_events=2 * COUNT) as events:
        env = {"JOURNAL": redis.url, "FOLDER": str(tmp_path)}
        reader = events.subscribe("a")
        events.publish("a", "begin").wait()
        program = [sys.executable, "-c", f"import tasks; tasks.work.delay({COUNT})"]
        subprocess.run(program, cwd=tmp_path, env=env, check=True, timeout=TIMEOUT_S)
        redis.send_signal(signal.SIGSTOP)  # it answers late, for longer than a worker takes to end
        command = ["celery", "-A", "tasks", "worker", "-c", "1", "--max-tasks-per-child", "1"]
        with (tmp_path / "log").open("wb") as log:
            worker = subprocess.Popen([sys.executable, "-m", *command], cwd=tmp_path, env=env, stdout=log, stderr=log)
        try:
            until((tmp_path / "done").exists, "the task is done", TIMEOUT_S)
            child = psutil.Process(int((tmp_path / "done").read_text()))
            with contextlib.suppress(psutil.TimeoutExpired):
                child.wait(3.0)
                pytest.fail("it has ended without waiting for the journal")
            redis.send_signal(signal.SIGCONT)
            seen = [reader.next(TIMEOUT_S).json() for _ in range(COUNT + 1)]  # type: ignore[union-attr]
            assert seen == ["begin", *range(COUNT)]
            child.wait(TIMEOUT_S)
        finally:
            redis.send_signal(signal.SIGCONT)
            # Not by SIGTERM: a worker that is just starting a process was seen not to end.
            for process in [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            worker.wait(TIMEOUT_S)
            print((tmp_path / "log").read_text())
