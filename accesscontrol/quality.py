"""What a picture of a face may lack, in words that people can act on.

The worker names the main shortfall of a face by the same words; see `recognition.types`.
"""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from accesscontrol.models.enrolment import Refusal


class Shortfall(TextChoices):
    """What the best picture of somebody lacks most; the label is for "why?"."""

    TOO_FAR = "TOO_FAR", _("the face was too small")
    BLURRED = "BLURRED", _("the picture was blurred")
    TOO_DARK = "TOO_DARK", _("it was too dark")
    TOO_BRIGHT = "TOO_BRIGHT", _("the light was too bright")
    LOW_CONTRAST = "LOW_CONTRAST", _("the picture was hazy")
    TURNED = "TURNED", _("the face was turned away")
    COVERED = "COVERED", _("something covered a part of the face")
    UNCLEAR = "UNCLEAR", _("the face could not be made out well")


ADVICE: dict[str, str] = {
    Shortfall.TOO_FAR: "Please come closer.",
    Shortfall.BLURRED: "Please hold still for a moment.",
    Shortfall.TOO_DARK: "It is too dark. Please turn to the light.",
    Shortfall.TOO_BRIGHT: "The light is too bright. Please turn away from it a little.",
    Shortfall.LOW_CONTRAST: "The picture is hazy. Please come closer, out of the glare.",
    Shortfall.TURNED: "Please look straight into the camera.",
    Shortfall.COVERED: "Please take off what covers your face.",
    Shortfall.UNCLEAR: "Please show your whole face and look into the camera.",
}
"""What the person at the kiosk can do about each."""

AT_THE_DOOR: dict[str, str] = {
    Shortfall.TOO_FAR: "Let people come closer, or move the camera.",
    Shortfall.BLURRED: "Let people stop for a moment; clean the lens; more light helps.",
    Shortfall.TOO_DARK: "Light faces from the front at this door.",
    Shortfall.TOO_BRIGHT: "Keep the sun or a lamp off faces at this door.",
    Shortfall.LOW_CONTRAST: "Clean the lens, and keep strong light from behind people.",
    Shortfall.TURNED: "Mount the camera at the height of faces, where people look anyway.",
    Shortfall.COVERED: "Masks, scarves, dark glasses and hands hide what is compared.",
    Shortfall.UNCLEAR: "Look at what the camera sees at this door.",
}
"""What the site can do about each."""

REFUSED: dict[str, Refusal] = {
    Shortfall.TOO_FAR: Refusal.FACE_TOO_SMALL,
    Shortfall.BLURRED: Refusal.BLURRED,
    Shortfall.TOO_DARK: Refusal.TOO_DARK,
    Shortfall.TOO_BRIGHT: Refusal.TOO_BRIGHT,
    Shortfall.LOW_CONTRAST: Refusal.LOW_CONTRAST,
    Shortfall.TURNED: Refusal.TURNED,
    Shortfall.COVERED: Refusal.COVERED,
    Shortfall.UNCLEAR: Refusal.LOW_QUALITY,
}
"""Why an enrolment photo that lacks it is refused, with HR's advice."""


def known(word: object) -> Shortfall | None:
    """The shortfall that a worker's word, or an old record's, names; None for any other."""
    return Shortfall(word) if word in Shortfall.values else None
