"""Measures how long stored decisions take to be replayed at another threshold."""

from __future__ import annotations

import json
import random
import statistics
import time
import uuid
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.utils import timezone

from accesscontrol.models import (
    Decision,
    Employee,
    Kiosk,
    ModelVersion,
    Outcome,
    Site,
    Threshold,
)
from accesscontrol.replay import PERIOD, replay

THRESHOLD, MARGIN = 0.87, 0.02
ROUNDS = 5
EVIDENCE: dict[str, object] = {
    **{f"{stage}_ms": 12.345 for stage in ("waited", "pipeline", "search", "decide", "batch")},
    **dict.fromkeys(("face_width", "quality", "clock_skew_s"), 0.7654),
    "pad": {"score": 0.0123, "frames": 5, "model": "minifasnet 1.0", "threshold": 0.5},
    "policy": {f"policy_{number}": 0.123456 for number in range(12)},
    "trace": [round(0.001 * number, 3) for number in range(60)],
}
"""About as long as that of a real decision, so that rows are as far apart."""
_BATCH = 5_000


class Command(BaseCommand):
    help = "Replays made-up decisions at other thresholds, in a transaction that is rolled back."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--decisions", type=int, default=100_000)
        parser.add_argument("--people", type=int, default=1_000)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        with transaction.atomic():
            row = _made_up(options["decisions"], options["people"])
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE accesscontrol_decision")
            found = [_replayed(row, change) for change in (-0.02, 0.02) for _ in range(ROUNDS)]
            transaction.set_rollback(True)
        seconds = [elapsed for elapsed, _ in found]
        figures = {
            "decisions": options["decisions"],
            "people": options["people"],
            "replay_s": round(statistics.median(seconds), 3),
            "replay_worst_s": round(max(seconds), 3),
            "changed_lower": found[0][1],
            "changed_higher": found[-1][1],
        }
        self.stdout.write(json.dumps(figures, indent=None if options["json"] else 2))


def _replayed(row: Threshold, change: float) -> tuple[float, int]:
    begun = time.perf_counter()
    found = replay(
        row.site_id,
        row.model_version_id,
        threshold=THRESHOLD + change,
        margin=MARGIN,
        until=timezone.now(),
    )
    return time.perf_counter() - begun, sum(found.changes.values())


def _made_up(decisions: int, people: int) -> Threshold:
    """A site with decisions of the last month, nine in ten of them of its people."""
    site = Site.objects.create(name=f"bench {uuid.uuid4()}", slug=uuid.uuid4().hex)
    kiosk = Kiosk.objects.create(site=site, name="bench")
    version = ModelVersion.objects.create(
        name="bench", version=uuid.uuid4().hex, sha256=uuid.uuid4().hex * 2, dimension=1
    )
    row = Threshold.objects.create(
        site=site, model_version=version, value=THRESHOLD, margin=MARGIN, reason="bench"
    )
    employees = Employee.objects.bulk_create(
        Employee(site=site, number=str(number), name=f"{number}") for number in range(people)
    )
    draw, now = random.Random(0), timezone.now()  # noqa: S311  made-up scores, no secret
    for begin in range(0, decisions, _BATCH):
        Decision.objects.bulk_create(
            _one(row, kiosk, draw.choice(employees), draw, now - PERIOD * draw.random() * 0.99)
            for _ in range(begin, min(begin + _BATCH, decisions))
        )
    return row


def _one(
    row: Threshold, kiosk: Kiosk, employee: Employee, draw: random.Random, at: datetime
) -> Decision:
    known = draw.random() < 0.9
    score = min(draw.gauss(0.92, 0.03) if known else draw.gauss(0.74, 0.04), 1.0)
    accepted = score >= row.value
    return Decision(
        site_id=row.site_id,
        kiosk=kiosk,
        presentation=uuid.UUID(int=draw.getrandbits(128)),
        outcome=Outcome.ACCEPTED if accepted else Outcome.NO_MATCH,
        employee=employee if accepted else None,
        nearest=employee,
        score=score,
        second_score=min(score - 0.03, draw.gauss(0.72, 0.03)),
        threshold=row.value,
        margin=row.margin,
        threshold_row=row,
        model_version_id=row.model_version_id,
        frames=5,
        evidence=EVIDENCE,
        first_captured_at=at - timedelta(seconds=1),
        captured_at=at,
        received_at=at,
        decided_at=at,
    )
