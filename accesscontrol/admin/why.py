"""The one-sentence answer to "why?" of a decision, for site managers."""

from __future__ import annotations

from collections.abc import Callable

from accesscontrol import pad
from accesscontrol.admin import sign_in_words
from accesscontrol.admin.challenge_words import in_a_sentence
from accesscontrol.admission import Denial
from accesscontrol.advice import shortfall_of
from accesscontrol.models import Decision, Method, Outcome, Punch
from accesscontrol.quality import AT_THE_DOOR


def why(decision: Decision) -> str:
    """Say what happened and, after a refusal, what can be done about it."""
    sentence = _SENTENCES[Outcome(decision.outcome)](decision)
    return sentence[:1].upper() + sentence[1:]


def _score(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _nearest(decision: Decision) -> str:
    return decision.nearest.name if decision.nearest else "Nobody"


def _lead(decision: Decision) -> float | None:
    if decision.score is None or decision.second_score is None:
        return None
    return decision.score - decision.second_score


def _accepted(decision: Decision) -> str:
    name = decision.employee.name if decision.employee else "The person"
    if decision.method != Method.FACE:
        return f"{sign_in_words.accepted(decision, name)} {_punched(decision)}"
    lead = _lead(decision)
    runner_up = ("" if lead is None else f", and the next-nearest person lies {lead:.2f} lower") + (
        f" (at least {_score(decision.margin)} is asked)" if lead is not None else ""
    )
    return (
        f"{name} was recognised: the likeness {_score(decision.score)} reaches the site's "
        f"threshold {_score(decision.threshold)}{runner_up}. {_challenged(decision)}"
        f"{_punched(decision)}"
    )


def _challenged(decision: Decision) -> str:
    sentence = in_a_sentence(decision)
    return f"{sentence} " if sentence else ""


def _punched(decision: Decision) -> str:
    punch = Punch.objects.filter(decision=decision, correction__isnull=True).first()
    if punch is None:
        return "No new punch was made: the last one is within the site's cool-down."
    return f"Punched {punch.direction} at {punch.local_at:%H:%M:%S}."


def _no_match(decision: Decision) -> str:
    if decision.nearest is None:
        return f"Nobody enrolled at this site looks like this person.{_shortfall(decision)}"
    if decision.nearest_id is None:  # somebody whom the reader may not see
        return (
            f"The nearest enrolled person has a likeness of {_score(decision.score)}; the site "
            f"asks for {_score(decision.threshold)}. If it was them, enrol another photo, taken "
            f"in the light of this door.{_shortfall(decision)}"
        )
    return (
        f"The nearest enrolled person, {_nearest(decision)}, has a likeness of "
        f"{_score(decision.score)}; the site asks for {_score(decision.threshold)}. If it was "
        f"{_nearest(decision)}, enrol another photo, taken in the light of this door."
        f"{_shortfall(decision)}"
    )


def _shortfall(decision: Decision) -> str:
    """What the best picture lacked and what the site can do about it; empty if nothing much."""
    shortfall = shortfall_of(decision)
    if shortfall is None:
        return ""
    score = decision.evidence.get("quality")
    return (
        f" Even in the best picture {shortfall.label} (quality {_score(score)}). "
        f"{AT_THE_DOOR[shortfall]}"
    )


def _ambiguous(decision: Decision) -> str:
    lead = _lead(decision)
    apart = "too little" if lead is None else f"only {lead:.2f}"
    advice = "Enrol more photos of both people, or give them a PIN or a badge."
    return (
        f"{_nearest(decision)} came nearest with {_score(decision.score)}, but another person "
        f"lies {apart} below; the site asks for {_score(decision.margin)}. "
        f"{sign_in_words.step_up(decision) or advice}"
    )


def _low_quality(decision: Decision) -> str:
    lacking = _shortfall(decision)
    if lacking:
        return f"The pictures were not good enough to go by.{lacking}"
    return (
        f"The face was seen too briefly ({decision.frames} usable frames). Look straight into the "
        "camera for a moment; check the light at this door."
    )


def _not_allowed(decision: Decision) -> str:
    reason = _DENIALS.get(
        decision.evidence.get("denied"),
        "the person or the site is not active, or the consent was withdrawn",
    )
    if decision.method != Method.FACE:
        who = sign_in_words.not_allowed(decision)
    else:
        who = f"{_nearest(decision)} was recognised"
    return f"{who} but may not enter here at that moment: {reason}."


_DENIALS: dict[str | None, str] = {
    Denial.SITE_CLOSED: "the site is not active",
    Denial.OTHER_SITE: "the person belongs to another site",
    Denial.INACTIVE: "the person is not active",
    Denial.NO_CONSENT: "the consent was withdrawn",
    Denial.NO_TEMPLATE: "the person's template was removed in that moment",
    Denial.HOURS: "it was outside the hours that are set on the site's page",
}


def _pad_failed(decision: Decision) -> str:
    found = decision.evidence.get("pad") or {}
    if found and found.get("threshold") is None:
        return (
            "The site asks for presentation attack detection, but the worker has no calibrated "
            f"model for it, so nobody is accepted. Install it with: {pad.INSTALL}"
        )
    if found and (found.get("score") is None or found["frames"] < decision.frames):
        return (
            f"Only {found['frames']} of the {decision.frames} faces seen could be checked for "
            "being a picture, so the person was not accepted. Let them try again."
        )
    scores = ""
    if found:
        scores = f" (attack score {found['score']:.2f}, refused from {found['threshold']:.2f} on)"
    return (
        f"What the camera saw looked like a picture or a screen, not like a living face{scores}. "
        "If it was a person, let them try again without reflections or strong light from behind."
    )


def _challenge(decision: Decision) -> str:
    begun = in_a_sentence(decision) or (
        "The person would have been asked to move their head, but left, did not look ahead, or "
        "somebody else was being asked."
    )
    return (
        f"{begun} The site's policy is strict, so they were not accepted. Let them try again, or "
        "use another way in: nobody has to be able to do this."
    )


_SENTENCES: dict[Outcome, Callable[[Decision], str]] = {
    Outcome.ACCEPTED: _accepted,
    Outcome.NO_MATCH: _no_match,
    Outcome.AMBIGUOUS: _ambiguous,
    Outcome.PAD_FAILED: _pad_failed,
    Outcome.CHALLENGE: _challenge,
    Outcome.LOW_QUALITY: _low_quality,
    Outcome.TOO_FAR: lambda _: (
        "The face was too small in the picture. Come closer, or lower the kiosk's smallest face."
    ),
    Outcome.NOT_ALLOWED: _not_allowed,
    Outcome.AT_OTHER_KIOSK: lambda decision: (
        f"{_nearest(decision)} stood before another kiosk of the site at that moment, which saw "
        "the face larger and decided. If it happens often, set this kiosk's zone so that the "
        "other one's place is outside of it."
    ),
    Outcome.EMPTY_GALLERY: lambda _: (
        "Nobody is enrolled at this site: enrol people with consent and photos first."
    ),
    Outcome.NOT_CALIBRATED: lambda _: (
        "The site has no threshold for the model in use, so nobody is accepted. Set one on the "
        "site's page."
    ),
    Outcome.SIGN_IN_FAILED: sign_in_words.failed,
    Outcome.EXPIRED: lambda _: (
        "The pictures were too old when their turn came. If this happens often, the workers are "
        "too slow or the kiosk's network is."
    ),
    Outcome.ERROR: lambda _: (
        "Something went wrong while deciding, so nobody was let in. The worker's log says what."
    ),
}
