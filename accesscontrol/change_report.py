"""A model change in figures and lists, for the command and for the page's downloads."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from accesscontrol import embedding_anew, shadow_decisions
from accesscontrol.cells import neutral
from accesscontrol.embedding_anew import LeftOut, Progress
from accesscontrol.model_change import State

COLUMNS = ("employee_number", "employee_name", "site", "recognised_now", "reason")
BOM = "\ufeff"


def as_json(state: State) -> dict[str, Any]:
    """The state as one object; people by number and name, since they are to be enrolled anew."""
    change = state.change
    shadow = shadow_decisions.summary(change)
    return {
        "open": True,
        "old": str(change.old),
        "new": str(change.new),
        "in_use": str(change.in_use),
        "stage": change.stage,
        "ready": state.ready,
        "blockers": list(state.blockers),
        "photos": {
            str(change.beside): _figures(state.beside),
            str(change.in_use): _figures(embedding_anew.progress(change.in_use)),
        },
        "left_out": [_person(one) for one in state.left_out],
        "sites": [
            {
                "site": found.site.name,
                "kind": found.kind.value,
                "old": found.before.value if found.before else None,
                "new": found.after.value if found.after else None,
            }
            for found in state.sites
        ],
        "shadow": {
            **{kind.value.lower(): count for kind, count in shadow.counts.items()},
            "compared": shadow.compared,
            "falsely_rejected": shadow.falsely_rejected,
            "cost_ms": shadow.cost_ms,
        },
    }


def _figures(progress: Progress) -> dict[str, int]:
    return {
        "photos": progress.photos,
        "done": progress.done,
        "failed": progress.failed,
        "waiting": progress.waiting,
        "percent": progress.percent,
    }


def _person(one: LeftOut) -> dict[str, Any]:
    return {
        "number": one.employee.number,
        "name": one.employee.name,
        "site": one.employee.site.name,
        "recognised_now": one.known_now,
        "reasons": list(one.reasons),
    }


def left_out_csv(people: Sequence[LeftOut]) -> str:
    """Those to enrol anew, as CSV with formula-safe cells; the columns are COLUMNS."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for one in people:
        employee = one.employee
        writer.writerow(
            [
                neutral(employee.number),
                neutral(employee.name),
                neutral(employee.site.name),
                "yes" if one.known_now else "no",
                neutral(" ".join(one.reasons)),
            ]
        )
    return BOM + out.getvalue()
