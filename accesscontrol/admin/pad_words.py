"""What each policy against pictures of faces protects from and costs, for who chooses one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from accesscontrol import pad_figures
from accesscontrol.matching import odds
from accesscontrol.pad_figures import Measured


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of attack, or of cost: what happens with each policy, in the order off, passive,
    strict."""

    name: str
    cells: Sequence[str]


def _measured(words: str, found: Measured) -> str:
    return (
        words % {"wrong": found.wrong, "of": found.of}
        + " "
        + _("(at most %(share).1f %% with 95 %% confidence)") % {"share": 100 * found.at_most}
    )


def rows() -> list[Row]:
    """The table of the threshold page."""
    accepted, unknown = _("accepted"), _("not evaluated")
    frames = _("%(wrong)d of %(of)d frames taken for a face")
    prints = _measured(frames, pad_figures.PRINTS_PASSED)
    replays = _measured(frames, pad_figures.REPLAYS_PASSED)
    faces = _measured(_("%(wrong)d of %(of)d frames refused"), pad_figures.FACES_REFUSED)
    flat = _measured(_("turned as asked, %(wrong)d of %(of)d pass"), pad_figures.FLAT_PRINTS_TURNED)
    bent = _measured(_("turned as asked, %(wrong)d of %(of)d pass"), pad_figures.BENT_PRINTS_TURNED)
    recorded = _("a recording of movements fits %(odds)s times") % {
        "odds": odds(pad_figures.ONE_RECORDING_FITS)
    }
    as_passive = _("as passive; besides, %s")
    return [
        Row(_("Printed photo, flat"), [accepted, prints, as_passive % flat]),
        Row(_("Printed photo, bent to a radius of 5 cm"), [accepted, unknown, as_passive % bent]),
        Row(_("Video on a screen (two clips)"), [accepted, replays, as_passive % recorded]),
        Row(_("Picture on a phone, tablet or laptop"), [accepted, unknown, unknown]),
        Row(_("Masks, cut-outs, video fed in behind the camera"), [unknown] * 3),
        Row(_("Living people refused"), [_("none"), faces, as_passive % unknown]),
        Row(
            _("Time"),
            [
                _("none"),
                _("none that is noticed"),
                _("three movements, at most 18 seconds for each acceptance, one person at a time"),
            ],
        ),
        Row(
            _("Who cannot or will not turn their head"),
            [
                _("no difference"),
                _("no difference"),
                _("needs PIN or badge; the kiosk says so from the start"),
            ],
        ),
    ]
