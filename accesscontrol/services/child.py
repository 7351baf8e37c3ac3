"""Become one supervised process: `python -I child.py CHILDREN.json NAME`.

A script of its own, standard library only, because it runs before every child and as root: it
sets what a child must have (no core dumps, a closed umask, the right account, death with its
parent), then replaces itself by the child's program.

It reads one object of CHILDREN.json:
  argv          program (absolute path) and arguments
  folder        working directory
  environment   variables; added to ours if `inherit`, else all that there are
  inherit       whether the child sees our environment
  stdin         file to be its standard input, opened before rights are dropped
  held          directory to be open as descriptor 9, opened before rights are dropped
  uid, gid      account to become; null: stay
  death_signal  number of the signal that it gets when its parent dies
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys

HELD_DESCRIPTOR = 9
PARENT_VARIABLE = "GATEHOUSE_PARENT_PID"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(death_signal: int) -> None:
    """Ask the kernel to send `death_signal` to this process when its parent dies.

    Linux only; elsewhere nothing happens, and a parent killed with -9 leaves its children.
    """
    _prctl(PR_SET_PDEATHSIG, death_signal)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent dies. Linux only, like the above."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def become(spec: dict[str, object]) -> None:
    """Replace this process by the program that `spec` describes; returns only by an exception."""
    parent = int(os.environ.get(PARENT_VARIABLE) or os.getppid())
    os.umask(0o077)
    # A core dump would write face frames, passwords and keys to disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.chdir(str(spec["folder"]))
    _open_as(0, str(spec["stdin"] or os.devnull), os.O_RDONLY)
    if spec["held"]:
        _open_as(HELD_DESCRIPTOR, str(spec["held"]), os.O_RDONLY | os.O_DIRECTORY)
    environment = _environment(spec)
    if spec["uid"] is not None:
        _become_account(int(str(spec["uid"])), int(str(spec["gid"])))
    # After the change of account, which clears it.
    die_with_parent(int(str(spec["death_signal"])))
    if os.getppid() != parent:
        raise SystemExit("the parent died before this process was ready")
    argv = [str(part) for part in spec["argv"]]  # type: ignore[attr-defined]
    os.execve(argv[0], argv, environment)  # noqa: S606 - replacing ourselves is the point


def _environment(spec: dict[str, object]) -> dict[str, str]:
    own = dict(spec["environment"])  # type: ignore[call-overload]
    if not spec["inherit"]:
        return {str(name): str(value) for name, value in own.items()}
    return {**os.environ, **own, PARENT_VARIABLE: str(os.getpid())}


def _open_as(descriptor: int, path: str, flags: int) -> None:
    opened = os.open(path, flags)
    if opened != descriptor:
        os.dup2(opened, descriptor, inheritable=True)
        os.close(opened)
    else:
        os.set_inheritable(descriptor, True)


def _become_account(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def main() -> None:
    children_path, name = sys.argv[1:]
    with open(children_path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs start-up time
        children = json.load(file)
    become(children[name])


if __name__ == "__main__":
    main()
