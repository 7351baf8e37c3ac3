"""What the person at a kiosk can do about a refusal."""

from __future__ import annotations

from accesscontrol import quality
from accesscontrol.models import Decision, Outcome

BRIEFLY_SEEN = "Please stop for a moment and look into the camera."

BY_OUTCOME: dict[str, str] = {
    Outcome.NO_MATCH: "Not recognised. Look straight into the camera, or use your PIN.",
    Outcome.AMBIGUOUS: "Not sure who you are. Please use your PIN or badge.",
    Outcome.PAD_FAILED: "Please show your face itself, without a photo or screen.",
    Outcome.CHALLENGE: "Please try again and follow the arrow, or use your PIN or badge.",
    Outcome.LOW_QUALITY: BRIEFLY_SEEN,
    Outcome.TOO_FAR: "Please come closer.",
    Outcome.NOT_ALLOWED: "You are not allowed in here at the moment. Please ask HR.",
    Outcome.AT_OTHER_KIOSK: "You stand nearer to another kiosk. Please look there.",
    Outcome.EMPTY_GALLERY: "Nobody is enrolled at this site yet. Please ask HR.",
    Outcome.NOT_CALIBRATED: "This site is not set up yet. Please ask IT.",
    Outcome.EXPIRED: "That took too long. Please try again.",
    Outcome.ERROR: "Something went wrong. Please try again, or use your PIN.",
    Outcome.SIGN_IN_FAILED: "Number, PIN or badge do not fit. Please try again, or ask HR.",
}
"""What the person at the kiosk can do about each refusal, where the picture does not say more."""


def shortfall_of(decision: Decision) -> quality.Shortfall | None:
    """What to blame a refusal on: the main shortfall of the best face that was seen.

    None where the picture was good enough, or where it was not what the outcome went by.
    """
    if decision.outcome == Outcome.NO_MATCH:
        return quality.known(decision.evidence.get("shortfall"))
    if decision.outcome != Outcome.LOW_QUALITY:
        return None
    lowest = (decision.evidence.get("policy") or {}).get("lowest_quality")
    score = decision.evidence.get("quality")
    if lowest is None or score is None or score >= lowest:
        return None  # the face was seen too briefly
    return quality.known(decision.evidence.get("shortfall"))


def for_kiosk(decision: Decision) -> str:
    """The sentence for the person before the kiosk."""
    shortfall = shortfall_of(decision)
    if shortfall is None:
        return BY_OUTCOME[decision.outcome]
    if decision.outcome == Outcome.NO_MATCH:
        return f"Not recognised. {quality.ADVICE[shortfall]}"
    return quality.ADVICE[shortfall]
