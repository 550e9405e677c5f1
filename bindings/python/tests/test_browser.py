"""The examples in Chromium, by the suite that all languages have for them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("framework", ["fastapi", "flask", "django"])
def test_the_clock(framework: str) -> None:
    run("test:demo", DEMO_CMD=command(f"basic/python-{framework}"))


@pytest.mark.timeout(200)
def test_the_chat() -> None:
    run("test", "--", "chat.test.js", CHAT_CMD=command("chat-python"))


def command(example: str) -> str:
    return shlex.join([sys.executable, f"examples/{example}/main.py"])


def run(*script: str, **env: str) -> None:
    result = subprocess.run(
        ["npm", "run", "--silent", *script],
        cwd=ROOT / "tests" / "browser",
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-20_000:]
    figures = dict(re.findall(r"^# (pass|fail|skipped) (\d+)$", result.stdout, re.MULTILINE))
    assert int(figures["pass"]) > 0
    assert (figures["fail"], figures["skipped"]) == ("0", "0"), result.stdout
