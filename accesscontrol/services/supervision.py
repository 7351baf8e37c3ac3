"""The process supervisor (supervisord): its configuration, its start, what we ask of it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from accesscontrol.services import child
from accesscontrol.services.errors import ServicesError
from accesscontrol.services.folders import write_private
from accesscontrol.services.parts import Part, write_children
from accesscontrol.services.waiting import StopSignals

SUPERVISOR = "supervisord"
CHILDREN = "run/children.json"
STOP_SECONDS = 150

# Paths reach the configuration through the environment, already quoted for the command line:
# supervisor reads " #" and " ;" as comments and "%" as a reference, and folders may have such
# names. All other paths are relative to the home folder, where supervisord runs.
LAUNCH_VARIABLE = "GATEHOUSE_LAUNCH"
SOCKET_VARIABLE = "GATEHOUSE_SUPERVISOR_SOCKET"


@dataclass(frozen=True, slots=True)
class PartState:
    """What supervisor says about a part: STOPPED, STARTING, RUNNING, BACKOFF, FATAL, ..."""

    name: str
    state: str
    pid: int | None


class Supervisor:
    """A supervisord process of ours that runs `parts`; none of them is started at first."""

    def __init__(self, home: Path, parts: list[Part], lock_descriptor: int) -> None:
        self.home = home
        self.parts = {part.name: part for part in parts}
        self._socket_folder = _new_socket_folder(home)
        self._socket = self._socket_folder / "s"
        _write_files(home, parts)
        self._process = self._start(lock_descriptor)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self, signals: StopSignals) -> None:
        signals.wait_until(self._is_ready, seconds=30, what="The supervisor did not start")

    def start(self, name: str) -> None:
        """Have a part started; returns at once. Raises ServicesError if it cannot be asked."""
        self._call("startProcess", f"{self.parts[name].group}:{name}", False)

    def states(self) -> dict[str, PartState]:
        """Return each part's state by its name. Raises ServicesError if it cannot be asked."""
        rows = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        return {
            row["name"]: PartState(row["name"], row["statename"], row["pid"] or None)
            for row in rows
        }

    def raise_for_failed(self) -> None:
        """Raise ServicesError, with the end of its log, for a part that keeps failing."""
        if not self.is_alive():
            raise ServicesError(
                "The supervisor process died, so everything was stopped. Start again: manage.py up"
            )
        for state in self.states().values():
            if state.state == "FATAL":
                title = self.parts[state.name].title
                log = self.home / "log" / f"{state.name}.log"
                raise ServicesError(f"{title} keeps failing. The end of {log}:\n{last_lines(log)}")

    def reap_orphans(self) -> None:
        """Collect ended processes that we inherited, a killed server's backends for instance."""
        while sys.platform.startswith("linux"):
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == self.pid:
                return  # supervisord itself is waited for where its end is noticed
            os.waitpid(ended.si_pid, 0)

    def stop(self, signals: StopSignals) -> None:
        """Stop all parts, those started last first, then the supervisor. Never raises.

        A second stop signal does not cut this short: PostgreSQL needs its checkpoint.
        """
        if self.is_alive():
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        _wait_for_orphans(signals)
        shutil.rmtree(self._socket_folder, ignore_errors=True)

    def _start(self, lock_descriptor: int) -> subprocess.Popen[bytes]:
        launch = [sys.executable, "-I", str(Path(child.__file__).resolve())]
        child.adopt_orphans()  # so that `stop` can wait for the end of every descendant
        return subprocess.Popen(
            [*launch, CHILDREN, SUPERVISOR],
            cwd=self.home,
            env={
                **os.environ,
                LAUNCH_VARIABLE: shlex.join(launch),
                SOCKET_VARIABLE: str(self._socket),
                child.PARENT_VARIABLE: str(os.getpid()),
            },
            pass_fds=(lock_descriptor,),
            # A group of its own: Ctrl-C at the terminal reaches `up` alone, which then stops the
            # parts in their order.
            process_group=0,
        )

    def _is_ready(self) -> bool:
        if not self.is_alive():
            log = self.home / "log" / "supervisord.log"
            raise ServicesError(f"The supervisor ended at once. {log} says:\n{last_lines(log)}")
        try:
            self._call("getState")
        except ServicesError:
            return False
        return True

    def _call(self, method: str, *arguments: object) -> object:
        transport = SupervisorTransport(serverurl=f"unix://{self._socket}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, xmlrpc.client.Error) as error:
            raise ServicesError(f"The supervisor does not answer: {error}") from None
        finally:
            transport.close()


def last_lines(path: Path, count: int = 20) -> str:
    """Return the end of a log, indented; of at most the last 16 KiB."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return "  (it cannot be read)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-count:]) or "  (it is empty)"


def _write_files(home: Path, parts: list[Part]) -> None:
    supervisord = Part(
        name=SUPERVISOR,
        title="Supervisor",
        group="",
        argv=[sys.executable, "-m", "supervisor.supervisord", "-c", "run/supervisord.conf"],
        folder=home,
        death_signal=signal.SIGTERM,  # on which it stops all parts in order
    )
    write_children(home / CHILDREN, [supervisord, *parts])
    (home / "run" / "supervisord.conf").write_text(_configuration(parts))


def _configuration(parts: list[Part]) -> str:
    as_root = "user=root\n" if os.geteuid() == 0 else ""  # on purpose, so no warning
    head = f"""\
[supervisord]
nodaemon=true
silent=true
umask=077
nocleanup=true
strip_ansi=true
logfile=log/supervisord.log
logfile_maxbytes=2MB
logfile_backups=2
pidfile=run/supervisord.pid
{as_root}
[unix_http_server]
file=%(ENV_{SOCKET_VARIABLE})s
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    groups = list(dict.fromkeys(part.group for part in parts))
    sections = [_group_section(group, number, parts) for number, group in enumerate(groups)]
    return "\n".join([head, *sections, *(_program_section(part) for part in parts)])


def _group_section(group: str, priority: int, parts: list[Part]) -> str:
    """The group with the highest priority number is stopped first, and wholly, before the next."""
    names = ",".join(part.name for part in parts if part.group == group)
    return f"[group:{group}]\nprograms={names}\npriority={priority}\n"


def _program_section(part: Part) -> str:
    return f"""\
[program:{part.name}]
command=%(ENV_{LAUNCH_VARIABLE})s {CHILDREN} {part.name}
autostart=false
autorestart=true
startsecs={part.settle_seconds}
startretries={part.start_attempts}
stopsignal={part.stop_signal.name.removeprefix("SIG")}
stopwaitsecs={part.stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile=log/{part.name}.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=3
"""


def _new_socket_folder(home: Path) -> Path:
    """Make a folder for the socket: its path may have 107 bytes, and `home` can lie deeper.

    Its name is noted, so that the next start removes it if this one is killed.
    """
    note = home / "run" / "socket-folder"
    if note.exists():
        shutil.rmtree(note.read_text(), ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-", dir=_short_folder()))
    write_private(note, str(folder))
    return folder


def _short_folder() -> str | None:
    """Where the socket's folder goes: the usual temporary folder unless its path is too long."""
    longest = f"{tempfile.gettempdir()}/gatehouse-12345678/s.0123456789"
    return "/tmp" if len(os.fsencode(longest)) > 100 else None  # noqa: S108 - mkdtemp makes it 0700


def _wait_for_orphans(signals: StopSignals) -> None:
    """Wait until no descendant is left; after ten seconds they are killed."""
    for attempt in range(200):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        if attempt == 100:
            _kill_children()
        signals.pause(0.1)


def _kill_children() -> None:
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in path.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
