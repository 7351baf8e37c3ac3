"""The kiosk page's texts, translatable: the page's scripts read them from its JSON block."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = Promise | str

NOTICES: dict[str, dict[str, Text]] = {
    "starting": {"title": _("One moment …"), "text": ""},
    "insecure": {
        "title": _("This page needs HTTPS"),
        "text": _(
            "Browsers give the camera to secure pages only. Open this page with https:// "
            "(or as localhost on the server itself)."
        ),
    },
    "asking": {
        "title": _("Allow the camera"),
        "text": _("The browser asks whether this page may use the camera. Please allow it."),
    },
    "no-camera": {
        "title": _("No camera"),
        "text": _("Connect a camera to this device. The kiosk goes on by itself."),
    },
    "permission-denied": {
        "title": _("The camera is blocked"),
        "text": _(
            "Allow the camera for this page: tap the camera or lock icon beside the address, "
            "allow the camera, then press “Try again”."
        ),
        "action": _("Try again"),
    },
    "camera-in-use": {
        "title": _("The camera is in use"),
        "text": _("Another program uses it. Close that one. The kiosk goes on by itself."),
        "action": _("Try again"),
    },
    "offline": {
        "title": _("No connection to the server"),
        "text": _("Reconnecting … Until then please report to reception."),
    },
    "busy": {
        "title": _("One moment, please"),
        "text": _("The server is busy. The kiosk goes on by itself."),
    },
    "elsewhere": {
        "title": _("This kiosk is open in another window"),
        "text": _("Only one window or device at a time can be this kiosk."),
        "action": _("Use this window"),
    },
    "unsupported": {
        "title": _("This browser is too old"),
        "text": _("It cannot keep the kiosk's key safely. Please use a current one."),
    },
}

LIVE: dict[str, Text] = {
    "waiting": _("Look into the camera"),
    "looking": _("Hold still for a moment …"),
}

# What a person is asked to do, from the server's "prompt"; left and right are their own.
MOVEMENTS: dict[str, Text] = {
    "LEFT": _("Turn your head to the left"),
    "RIGHT": _("Turn your head to the right"),
    "UP": _("Look up"),
    "AHEAD": _("Now look straight ahead"),
}
PROMPT: dict[str, Text] = {
    "step": _("Step {step} of {steps}"),
    "instead": _("If you cannot or do not want to: use your PIN or badge."),
}

DIRECTIONS: dict[str, Text] = {"IN": _("IN"), "OUT": _("OUT")}

REPEAT: Text = _("already recorded")

# Heading and, where the server gives none, advice for each outcome that is not ACCEPTED.
REFUSALS: dict[str, dict[str, Text]] = {
    "NO_MATCH": {
        "title": _("Not recognised"),
        "reason": _("Look straight at the camera and try again, or report to reception."),
    },
    "AMBIGUOUS": {"title": _("Not sure who you are"), "reason": _("Please report to reception.")},
    "PAD_FAILED": {
        "title": _("Not accepted"),
        "reason": _("Stand before the camera yourself, or report to reception."),
    },
    "CHALLENGE": {
        "title": _("Movement not seen"),
        "reason": _("Try again and follow the arrow, or use your PIN or badge."),
    },
    "LOW_QUALITY": {
        "title": _("Not seen well enough"),
        "reason": _("Look straight at the camera and hold still."),
    },
    "TOO_FAR": {"title": _("Too far away"), "reason": _("Please come closer.")},
    "NOT_ALLOWED": {"title": _("Not allowed here now"), "reason": _("Please report to reception.")},
    "SIGN_IN_FAILED": {"title": _("That does not fit"), "reason": _("Please try again.")},
    "THROTTLED": {"title": _("Too many attempts"), "reason": _("Please wait a moment.")},
    "EXPIRED": {"title": _("Please try again"), "reason": _("The picture came too late.")},
    "ERROR": {"title": _("Please try again"), "reason": _("Something went wrong in the server.")},
}
REFUSAL: dict[str, Text] = {
    "title": _("Not accepted"),
    "reason": _("Please report to reception."),
}

PAIRING: dict[str, Text] = {
    "revoked": _("This kiosk's pairing has ended. Enter a new code."),
    "replace": _("This device is a kiosk already. A new code replaces that pairing."),
    "unreachable": _("The server does not answer. Check the network, then try again."),
}

SIGN_IN: dict[str, Text] = {
    "title": _("Sign in without face"),
    "asked": _("Please enter your PIN"),
    "checking": _("One moment …"),
    "unanswered": _("The server does not answer. It is asked again by itself."),
}

TEXTS = {
    "notices": NOTICES,
    "live": LIVE,
    "movements": MOVEMENTS,
    "prompt": PROMPT,
    "directions": DIRECTIONS,
    "repeat": REPEAT,
    "refusals": REFUSALS,
    "refusal": REFUSAL,
    "pairing": PAIRING,
    "sign_in": SIGN_IN,
}
