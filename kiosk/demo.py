"""The demo: from an empty folder to a punch in the exported attendance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import tzlocal

from kiosk.installation import Installation, StepError
from kiosk.walk_past import write_walk_past

SITE, DOOR = "Demo", "Demo door"
COOL_DOWN_S = 15
"""Short, so that a second run of the demo punches again."""
PEOPLE = {
    "44": ("Barack Obama", ["obama.jpg", "obama3.jpg"]),
    "46": ("Joe Biden", ["biden.jpg"]),
}
PASSER_BY = ("Barack Obama", "obama2.jpg")
"""A portrait other than the enrolled ones."""
STRANGER = "astronaut.png"

Say = Callable[[str], None]


@dataclass(slots=True)
class Demo:
    """One run of the demo."""

    installation: Installation
    say: Say
    began: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def portraits(self) -> Path:
        """Fetch the public-domain portraits and return their folder."""
        self.say("Portraits: two presidents to enrol, an astronaut as the stranger")
        self.installation.run("-m", "recognition", "fetch-faces")
        return self.installation.home / "cache" / "faces"

    def enrol(self, portraits: Path) -> None:
        """Enrol the demo people, as HR would from the command line."""
        self.installation.manage(
            "add_site", "--name", SITE, "--time-zone", tzlocal.get_localzone_name() or "UTC",
            "--cool-down", str(COOL_DOWN_S), "--if-missing",
            "--pad", "off",  # the walk-past is made of still portraits, which are no living faces
        )  # fmt: skip
        for number, (name, files) in PEOPLE.items():
            photos = [portraits / file for file in files]
            results = self.installation.enrol(SITE, number, name, *photos)
            refused = [result for result in results if result["status"] != "accepted"]
            if refused or not results:
                raise StepError(f"{name} was not enrolled: {refused}")
            self.say(f"Enrolled {name} from {len(photos)} photo{'s' if len(photos) > 1 else ''}")

    def walk_past(self, portraits: Path) -> list[dict[str, Any]]:
        """Play the two walk-pasts into a kiosk and return its decisions."""
        folder = self.installation.home / "demo"
        sources = [
            write_walk_past(portraits / file, folder / Path(file).stem)
            for file in (PASSER_BY[1], STRANGER)
        ]
        self.say("A walk-past of an enrolled person, then of a stranger, before the kiosk …")
        decisions = self.installation.play(SITE, DOOR, *sources)
        for decision in decisions:
            self.say(f"  the kiosk shows: {shown(decision)}")
        return decisions

    def attendance(self) -> list[dict[str, str]]:
        """The rows of the exported CSV that are of this run."""
        rows = self.installation.attendance(SITE)
        return [row for row in rows if _utc(row["utc_time"]) >= self.began]


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)


def shown(decision: dict[str, Any]) -> str:
    """A decision as the kiosk's screen words it."""
    if decision["outcome"] != "ACCEPTED":
        return f"refused ({decision['outcome']}): {decision['reason']}"
    again = ", already recorded" if decision["repeat"] else ""
    at = datetime.fromisoformat(decision["at"]).strftime("%H:%M")
    return f"{decision['employee']}, {decision['direction']} {at}{again}"


def verdict(decisions: list[dict[str, Any]], rows: list[dict[str, str]]) -> dict[str, Any]:
    """What `--once` prints; `ok` says whether the demo did exactly what it is for."""
    accepted = [d for d in decisions if d["outcome"] == "ACCEPTED"]
    refused = [d for d in decisions if d["outcome"] != "ACCEPTED"]
    punched = [(row["employee_name"], row["direction"]) for row in rows]
    return {
        "recognised": len(accepted),
        "refused": len(refused),
        "csv_rows": len(rows),
        "frame_to_greeting_ms": percentiles([d["frame_to_result_ms"] for d in accepted]),
        "ok": [d["employee"] for d in accepted] == [PASSER_BY[0]]
        and bool(refused)
        and all(Path(d["source"]).stem == Path(STRANGER).stem for d in refused)
        and punched == [(d["employee"], d["direction"]) for d in accepted],
    }


def percentiles(times: list[float]) -> dict[str, float | None]:
    """Median and 95th percentile of milliseconds; null without any."""
    if not times:
        return {"p50": None, "p95": None}
    p95 = quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]
    return {"p50": round(median(times), 1), "p95": round(p95, 1)}
