"""What to say of sign-ins with PIN or badge, and of the step-up of look-alikes."""

from __future__ import annotations

from accesscontrol import step_ups
from accesscontrol.models import Decision, Method, Outcome
from accesscontrol.sign_in import Failure

_WITH: dict[str, str] = {
    Method.PIN: "with their number and PIN",
    Method.BADGE: "with a badge",
    Method.FACE_AND_PIN: "with their PIN",
    Method.FACE_AND_BADGE: "with a badge",
}

_FAILURES: dict[str | None, str] = {
    Failure.WRONG: "nobody who is admitted to this site has this number and this PIN",
    Failure.UNKNOWN_BADGE: "the badge is nobody's",
    Failure.REVOKED_BADGE: "the badge was revoked",
    Failure.NOT_OF_THE_PAIR: "it was not the PIN or badge of either of the two who look alike",
    Failure.TOO_LATE: "the kiosk was not waiting for it any more",
    Failure.NOT_ASKED: "the kiosk had not asked for it",
    Failure.ENDED: "the PIN or badge was revoked in that moment",
}


def accepted(decision: Decision, name: str) -> str:
    """How somebody came in without their face alone."""
    how = _WITH[decision.method]
    if decision.steps_up_id is None:
        return f"{name} signed in {how}; the face was not looked at."
    return (
        f"{name} looks like another enrolled person, so the kiosk asked (decision "
        f"{decision.steps_up_id}), and {name} answered {how}."
    )


def not_allowed(decision: Decision) -> str:
    """The beginning of the sentence that says why they may not enter."""
    name = decision.nearest.name if decision.nearest else "Somebody"
    return f"{name} signed in {_WITH[decision.method]}"


def failed(decision: Decision) -> str:
    """What was wrong: the kiosk says none of it, so that nobody learns which numbers exist."""
    reason = _FAILURES.get(
        decision.evidence.get("sign_in"), "the number, the PIN or the badge was wrong"
    )
    asked = f" It was an answer to decision {decision.steps_up_id}." if decision.steps_up_id else ""
    return (
        f"Somebody tried to sign in {_WITH.get(decision.method, '')}, but {reason}.{asked} A new "
        "PIN can be set on the employee's page."
    )


def step_up(decision: Decision) -> str:
    """How it went on after the kiosk asked two look-alikes for a PIN; empty where it did not."""
    if step_ups.offered_pair(decision) is None:
        return ""
    asked = "HR has said that these two are two people, so the kiosk asked for the PIN or badge"
    answers = list(Decision.objects.filter(steps_up=decision.pk).order_by("pk"))
    settled = next((row for row in answers if row.outcome == Outcome.ACCEPTED), None)
    if settled:
        return f"{asked}, and it was answered: see decision {settled.pk}."
    if answers:
        tries = "once" if len(answers) == 1 else f"{len(answers)} times"
        return f"{asked}; it was answered {tries}, but not rightly and in time."
    return f"{asked}; nobody answered within {step_ups.OFFERED.seconds} seconds."
