"""A scratch installation with its people and kiosks, and the phases that are played on it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import redis

from accesscontrol.environment import PROJECT, embedded_services
from accesscontrol.frames import FrameOutlet
from kiosk import identity
from kiosk.installation import Installation, StepError
from kiosk.load.figures import phase_figures, spread
from kiosk.load.people import people_in, sample_people, write_empty_room, write_walks
from kiosk.load.processes import Use, busy_s, use_of_parts
from kiosk.load.walker import Part

COMMAND = "bench_kiosks"
COUNTS = ("received", "processed", "replaced", "expired", "over_rate")
AGES = """
SELECT extract(epoch FROM decided_at - received_at) * 1000 FROM accesscontrol_decision
WHERE outcome = 'ACCEPTED' AND decided_at >= %s
"""


class Clients:
    """A running process of simulated kiosks, all of them connected."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._line()

    def go(self) -> None:
        assert self._process.stdin is not None  # noqa: S101  it was opened so
        print(file=self._process.stdin, flush=True)

    def result(self) -> dict[str, Any]:
        """`{"logs", "cpu_s"}`, once the part is over."""
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if not line:
            raise StepError("The simulated kiosks ended early; their own messages stand above.")
        found: dict[str, Any] = json.loads(line)
        return found


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server has counted so far: frames by kiosk, batches by size."""

    frames: dict[str, Counter[str]]
    batches: Counter[int]


@dataclass(slots=True)
class Stage:
    """The installation, what can be seen before its kiosks, and their keys.

    show: the orders of `clients.play` without its kiosks.
    """

    installation: Installation
    show: dict[str, Any]
    identities: list[Path]
    played: int = 0

    @classmethod
    def prepared(cls, installation: Installation, kiosks: int, faces: Path | None) -> Stage:
        """Enrol people and pair kiosks. Raises StepError."""
        folder = installation.home / "load"
        if faces is None:
            installation.run("-m", "recognition", "fetch-faces")
            people = sample_people(installation.home / "cache" / "faces")
        else:
            people = people_in(faces)
        walks = write_walks(people, folder / "walks")
        enrolled = [
            {"name": person.name, "photos": [str(photo) for photo in person.photos]}
            for person in people
            if person.photos
        ]
        plan = {"kiosks": kiosks, "folder": str(folder / "identities"), "people": enrolled}
        (folder / "plan.json").write_text(json.dumps(plan))
        made = json.loads(installation.manage(COMMAND, "--prepare", str(folder / "plan.json")))
        if not made["enrolled"]:
            raise StepError("No photo was accepted: there is nobody to recognise.")
        show = {
            "url": installation.url,
            "room": str(write_empty_room(folder / "room.jpg")),
            "enrolled": {name: str(walks[name]) for name in made["enrolled"]},
            "strangers": {p.name: str(walks[p.name]) for p in people if not p.photos},
        }
        return cls(installation, show, [Path(path) for path in made["identities"]])

    def play(self, parts: Sequence[Part], beside: Sequence[Part] = ()) -> dict[str, Any]:
        """Play a part at each of the first kiosks; figures, and the `logs` they are of.

        Those of `beside` play at the next kiosks, in a process of their own, and are not part of
        the figures of the others.
        """
        own, next_ones = self.identities[: len(parts)], self.identities[len(parts) :]
        root = json.loads((self.installation.home / "run" / "up.json").read_text())["pid"]
        with ExitStack() as running:
            clients = running.enter_context(self._clients(own, parts))
            others = [running.enter_context(self._clients(next_ones, beside))] if beside else []
            before, used, since = self._seen(), use_of_parts(root), datetime.now(UTC)
            busy = busy_s()
            for process in (*others, clients):
                process.go()
            threading.Event().wait(parts[0].seconds)
            using, busy = use_of_parts(root), busy_s() - busy
            played, disturbed = clients.result(), [process.result() for process in others]
        seconds = parts[0].seconds
        cpu = {"clients": played["cpu_s"], "disturbers": sum(one["cpu_s"] for one in disturbed)}
        cpu |= {part: using[part].cpu_s - used.get(part, Use(0, 0)).cpu_s for part in using}
        cpu["others"] = max(0.0, busy - sum(cpu.values()))
        return {
            **phase_figures(played["logs"], seconds),
            **self._counted(before, self._seen(), own),
            "age_at_acceptance_ms": spread(self._ages(since)),
            "processors": {part: round(cpu_s / seconds, 2) for part, cpu_s in cpu.items()},
            "memory_mb": {part: round(use.memory_mb) for part, use in using.items()},
            "logs": played["logs"],
        }

    @contextmanager
    def _clients(self, identities: Sequence[Path], parts: Sequence[Part]) -> Iterator[Clients]:
        kiosks = []
        for path, part in zip(identities, parts, strict=False):
            self.played += 1
            kiosks.append({"identity": str(path), "part": asdict(part), "seed": self.played})
        process = subprocess.Popen(
            [sys.executable, "manage.py", COMMAND, "--clients"],
            cwd=PROJECT,
            env=self.installation.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                assert process.stdin is not None  # noqa: S101
                process.stdin.write(json.dumps({**self.show, "kiosks": kiosks}) + "\n")
                process.stdin.flush()
                yield Clients(process)
            finally:
                process.terminate()

    def _seen(self) -> Seen:
        with redis.Redis.from_url(self._services()["redis_url"]) as client:
            outlet = FrameOutlet(client)
            ids = [identity.load(path).kiosk for path in self.identities]
            return Seen(
                {str(kiosk): Counter(outlet.counts(kiosk)) for kiosk in ids if kiosk},
                Counter(outlet.batches()),
            )

    def _ages(self, since: datetime) -> list[float]:
        """Of the frames that acceptances fell on, receipt to decision, in milliseconds."""
        with psycopg.connect(self._services()["database_url"]) as connection:
            return [float(age) for (age,) in connection.execute(AGES, [since])]

    def _services(self) -> dict[str, str]:
        return embedded_services(self.installation.home)

    def _counted(self, before: Seen, after: Seen, own: Sequence[Path]) -> dict[str, Any]:
        """What the server counted between two looks; what is not of `own` kiosks stands apart."""
        frames = {kiosk: after.frames[kiosk] - before.frames[kiosk] for kiosk in after.frames}
        mine = [frames.pop(str(identity.load(path).kiosk)) for path in own]
        total, beside = (sum(one, Counter[str]()) for one in (mine, frames.values()))
        batches = after.batches - before.batches
        return {
            "frames": {name: total[name] for name in COUNTS},
            "frames_beside": {name: beside[name] for name in COUNTS} if beside else None,
            "overtaken_by_kiosk": spread([kiosk["replaced"] for kiosk in mine]),
            "batches": {str(size): batches[size] for size in sorted(batches)},
        }
