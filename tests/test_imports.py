"""Who may import whom, and what no source may use."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("accesscontrol", "kiosk", "recognition")

SOURCES = sorted(
    path
    for package in PACKAGES
    for path in (PROJECT / package).rglob("*.py")
    if "node_modules" not in path.parts
)

READS_THE_ENVIRONMENT = {
    "accesscontrol/environment.py": "declares every variable",
    "recognition/home.py": "the pure part's one look at the home folder",
    "recognition/bench/peer_program.py": "one thread for libraries that are yet to be loaded",
    "recognition/training/launch.py": "hands the environment on to the processes that train",
    "kiosk/installation.py": "hands the environment on to the commands that the demo runs",
}
SETS_DJANGO_SETTINGS = {"accesscontrol/asgi.py", "accesscontrol/celery.py"}
STARTS_PROCESSES = ("accesscontrol/services/", "accesscontrol/management/commands/up.py")
"""What hands an environment on to the processes it starts."""


UNPICKLERS = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def attributes(tree: ast.Module) -> Iterator[str]:
    """Every dotted name that is used, like os.environ."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def test_imports_run_one_way() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("entry", ["accesscontrol.asgi", "accesscontrol.urls", "kiosk.consumers"])
def test_the_web_process_starts_without_torch_and_recognition(entry: str) -> None:
    script = (
        "import importlib, os, sys\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'accesscontrol.settings')\n"
        "import accesscontrol.asgi\n"
        f"importlib.import_module({entry!r})\n"
        "found = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(found & {'torch', 'cv2', 'recognition', 'matplotlib', 'PIL'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    assert not set(loaded) & {"torch", "cv2", "recognition", "matplotlib"}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_is_unpickled(path: Path) -> None:
    tree = parsed(path)
    forbidden = {
        "pickle",
        "cPickle",
        "_pickle",
        "dill",
        "shelve",
        "marshal",
        "joblib",
        "cloudpickle",
    }
    assert not forbidden & {name.partition(".")[0] for name in imports(tree)}
    used = set(attributes(tree))
    assert not {"torch.load", "torch.jit.load", "torch.package", "pandas.read_pickle"} & used
    assert not any(
        keyword.arg == "allow_pickle" and not _is_false(keyword.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    )


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    name = name_of(path)
    if name in READS_THE_ENVIRONMENT or name.startswith(STARTS_PROCESSES):
        return
    tree = parsed(path)
    reads = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in {"os.environ", "os.getenv", "os.environb", "os.putenv"}
    ]
    if name in SETS_DJANGO_SETTINGS:
        assert len(reads) == 1
        assert "os.environ.setdefault('DJANGO_SETTINGS_MODULE'" in ast.unparse(tree)
    else:
        assert not reads
    assert not {"os.environ", "os.getenv"} & set(imports(tree))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_source_runs_text_as_code(path: Path) -> None:
    called = {
        node.func.id
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not {"eval", "exec", "compile", "__import__"} & called
