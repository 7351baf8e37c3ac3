"""What somebody was asked to do with their head, and did, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accesscontrol.models import Decision

MOVEMENTS = {
    "LEFT": gettext_lazy("to turn the head left"),
    "RIGHT": gettext_lazy("to turn the head right"),
    "UP": gettext_lazy("to look up"),
}

ENDS = {
    "WRONG": gettext_lazy("made another movement"),
    "TOO_EARLY": gettext_lazy("moved sooner after the prompt than a person can follow it"),
    "EXPIRED": gettext_lazy("did not do it in time"),
    "LOST": gettext_lazy("was out of sight in between"),
}


def asked(decision: Decision) -> Mapping[str, Any] | None:
    """The challenge in the decision's evidence, or None."""
    shown = decision.evidence.get("challenge")
    return shown if isinstance(shown, dict) else None


def in_a_sentence(decision: Decision) -> str:
    """What was asked and done; empty if nothing was asked."""
    shown = asked(decision)
    if shown is None:
        return ""
    steps = [step for step in shown.get("movements", ()) if step.get("prompted_ms") is not None]
    names = [str(MOVEMENTS.get(step["movement"], step["movement"])) for step in steps]
    what = _(", then ").join(names) or _("to move the head")
    if shown.get("fulfilled"):
        times = _(" and ").join(
            _("%(s).1f s") % {"s": (step["reached_ms"] - step["prompted_ms"]) / 1000}
            for step in steps
        )
        return _("The person was asked %(what)s, and did so within %(times)s.") % {
            "what": what,
            "times": times,
        }
    end = ENDS.get(str(shown.get("end")), _("left before it was done"))
    return _("The person was asked %(what)s, and %(end)s.") % {"what": what, "end": end}
