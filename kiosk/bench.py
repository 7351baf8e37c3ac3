"""Measuring a whole installation through the kiosk stream: latency, and clips of real people."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2

from kiosk.demo import percentiles
from kiosk.installation import Installation, StepError, running
from kiosk.walk_past import write_walk_past

Say = Callable[[str], None]

STILLS = 3
"""Frames of a clip that its person is enrolled from."""
PORT = 8600


@contextmanager
def fresh_installation(models_home: Path) -> Iterator[Installation]:
    """A running installation in a temporary folder, with the models of `models_home`."""
    with TemporaryDirectory(prefix="gatehouse-bench-") as folder:
        home = Path(folder)
        for shared in ("models", "cache"):
            (home / shared).symlink_to(models_home / shared)
        installation = Installation(home)
        with running(installation, PORT):
            yield installation


def measure_latency(installation: Installation, rounds: int, say: Say) -> dict[str, Any]:
    """Frame to greeting over `rounds` walk-pasts of one person at one kiosk, in milliseconds.

    From the capture of the frame that the decision fell on to its message at the kiosk: network,
    slot, wake-up, the whole pipeline, search, commit and the way back.
    """
    installation.run("-m", "recognition", "fetch-faces")
    portraits = installation.home / "cache" / "faces"
    installation.manage("add_site", "--name", "Latency", "--cool-down", "0", "--pad", "off")
    installation.enrol("Latency", "44", "Barack Obama", portraits / "obama.jpg")
    walk = write_walk_past(portraits / "obama2.jpg", installation.home / "walk")
    say(f"{rounds} walk-pasts of 2.5 s each …")
    decisions = installation.play("Latency", "Door", *[walk] * rounds)
    times = [d["frame_to_result_ms"] for d in decisions if d["outcome"] == "ACCEPTED"]
    return {
        "machine": machine(),
        "walk_pasts": rounds,
        "accepted": len(times),
        "frame_to_greeting_ms": percentiles(times),
        "worst_ms": max(times, default=None),
    }


@dataclass(frozen=True, slots=True)
class Clips:
    """Clips of people before a fixed camera: a folder for each person."""

    people: dict[str, list[Path]]

    @classmethod
    def find(cls, folder: Path) -> Clips:
        """Raises StepError unless there are two people with two clips each."""
        people = {
            person.name: sorted(p for p in person.iterdir() if p.suffix in {".mkv", ".mp4", ".avi"})
            for person in sorted(folder.iterdir())
            if person.is_dir()
        }
        people = {name: clips for name, clips in people.items() if len(clips) >= 2}
        if len(people) < 2:
            raise StepError(f"{folder} needs a folder for each person, with two clips in each.")
        return cls(people)


def measure_clips(
    installation: Installation, clips: Clips, say: Say, *, every_clip: bool
) -> dict[str, Any]:
    """Enrol each person from one clip, play all their others; then everybody as a stranger.

    Returns counts and the decisions that were wrong. With `every_clip` each clip takes its turn
    as the one enrolled from.
    """
    trials = _trials(clips, every_clip=every_clip)
    counts = dict.fromkeys(("genuine", "accepted", "strangers", "refused"), 0)
    result: dict[str, Any] = {"machine": machine(), **counts}
    wrong: list[dict[str, Any]] = []
    for number, (enrolled, shown) in enumerate(trials):
        site = f"Trial {number}"
        installation.manage("add_site", "--name", site, "--cool-down", "0", "--pad", "off")
        for person, clip in enrolled.items():
            stills = _stills(clip, installation.home / "stills" / site / person)
            results = installation.enrol(site, person, person, *stills)
            if any(r["status"] != "accepted" for r in results):
                raise StepError(f"{clip} gave no usable photos: {results}")
        for person, clip in shown:
            decisions = installation.play(site, "Door", clip)
            names = {d["employee"] or d["outcome"] for d in decisions}
            accepted = {d["employee"] for d in decisions if d["outcome"] == "ACCEPTED"}
            expected = {person} if person in enrolled else set()
            result["genuine" if expected else "strangers"] += 1
            result["accepted"] += bool(expected) and accepted == expected
            result["refused"] += bool(decisions) and not accepted
            if accepted != expected or not decisions:
                wrong.append({"clip": clip.stem, "person": person, "decided": sorted(names)})
            say(f"{site}: {person}/{clip.stem}: {', '.join(sorted(names)) or 'nothing'}")
    return {**result, "wrong": wrong}


def _trials(
    clips: Clips, *, every_clip: bool
) -> Iterator[tuple[dict[str, Path], list[tuple[str, Path]]]]:
    """Who is enrolled from which clip, and which clips are then shown."""
    turns = max(len(own) for own in clips.people.values()) if every_clip else 1
    for turn in range(turns):
        enrolled = {name: own[turn % len(own)] for name, own in clips.people.items()}
        yield (
            enrolled,
            [(n, clip) for n, own in clips.people.items() for clip in own if clip != enrolled[n]],
        )
    for stranger, own in clips.people.items():
        others = {name: found[0] for name, found in clips.people.items() if name != stranger}
        yield others, [(stranger, clip) for clip in own]


def _stills(clip: Path, folder: Path) -> list[Path]:
    """Write STILLS evenly spread frames of a clip as PNG files."""
    folder.mkdir(parents=True)
    video = cv2.VideoCapture(str(clip))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    stills = []
    for index in (round(count * k / (STILLS + 1)) for k in range(1, STILLS + 1)):
        video.set(cv2.CAP_PROP_POS_FRAMES, index)
        read, frame = video.read()
        if read:
            stills.append(folder / f"{index:05d}.png")
            cv2.imwrite(str(stills[-1]), frame)
    video.release()
    if not stills:
        raise StepError(f"{clip} cannot be read as a video.")
    return stills


def machine() -> str:
    """The processor, for the record."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {platform.system()}, Python {platform.python_version()}"
