"""The house: a module imports only what is below it, and a framework is imported only by its own module."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "python" / "evstream"
FLOORS = [
    ["_errors", "_green", "_json", "_messages", "_options"],  # values
    ["_native"],  # the core
    ["_uwsgi"],
    ["_access", "_news", "_observers", "_request", "_stopping"],
    ["_leaving"],
    ["_process", "_workers"],
    ["_advice"],
    ["_source"],  # what every mount needs
    ["_channel", "_hub", "_server"],
    ["_aio", "_trio"],
    ["_waiting"],
    ["_subscription"],
    ["_mounts.framing", "_mounts.pieces"],
    ["_mounts.daphne", "_mounts.sockets", "_mounts.uvicorn"],
    ["_mounts.asgi", "_mounts.wsgi"],
    ["_mounts.django", "_mounts.flask", "_mounts.starlette"],
    ["_events"],  # what a user holds
    ["prometheus"],
    ["django._gone", "django.channelmanager", "django.renderers"],
    [
        "django._settings",
        *[f"django.{name}" for name in ("event", "eventrequest", "eventresponse", "storage", "utils")],
    ],
    ["django._middleware", "django._stream", "django.checks", "django.models"],
    ["django.eventstream"],
    ["django.apps", "django.urls", "django.viewsets"],
    ["django", "django.views"],
    ["", "__main__", "_mounts"],
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
FRAMEWORKS = {
    "asgiref": "django",
    "django": "django",
    "flask": "flask",
    "prometheus_client": "prometheus",
    "rest_framework": "django",
    "starlette": "starlette",
    "trio": "_trio",
    "twisted": "_stopping",
    "uvicorn": "_mounts.uvicorn",
    "werkzeug": "flask",
}
SOURCES = sorted([*PACKAGE.rglob("*.py"), PACKAGE / "_native.pyi"])


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[bool, str]]:
    """Whether it is of the package, and the name of the module."""
    name = name_of(path)
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((False, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield False, node.module or ""
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            module = ".".join(part for part in base if part)
            for alias in node.names:
                inner = f"{module}.{alias.name}".removeprefix(".")
                yield True, inner if inner in FLOOR_OF else module


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_imports_only_what_is_below_it(path: Path) -> None:
    name = name_of(path)
    for is_own, imported in imports(path):
        if is_own:
            assert FLOOR_OF[imported] < FLOOR_OF[name], f"{name} imports {imported}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_framework_is_imported_by_its_own_module(path: Path) -> None:
    name = name_of(path)
    for is_own, imported in imports(path):
        framework = FRAMEWORKS.get(imported.partition(".")[0])
        if not is_own and framework and name != "_events":  # which names types that no program imports
            assert framework in name.split("."), f"{name} imports {imported}"


def test_importing_the_package_imports_no_framework() -> None:
    program = "import sys, evstream; evstream.Events().asgi(); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for module in FRAMEWORKS:
        assert f"'{module}'" not in loaded
