"""Walk-ups under both models as a picture: each a point, by how far it lies above the thresholds.

SVG from the server; colours are classes of admin.css. It names nobody.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accesscontrol.models import ModelChange, ShadowDecision

WIDE, HIGH = 420, 380
LEFT, RIGHT, ABOVE, BELOW = 52, 12, 12, 44
SHOWN = 500
"""Walk-ups, the newest."""
REACH = 0.4
"""Score above or below the threshold at the picture's edges."""


def plot(change: ModelChange) -> SafeString:
    """The picture as an <svg> element."""
    rows = ShadowDecision.objects.filter(change=change, score__isnull=False).order_by("-pk")
    points = [
        _point(old.score - old.threshold, row.score - row.threshold, row.agreement)
        for row in rows.select_related("decision")[:SHOWN]
        if (old := row.decision).score is not None
        and old.threshold is not None
        and row.score is not None
    ]
    return format_html(
        '<svg class="gh-plot gh-agreement" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
        WIDE,
        HIGH,
        _("Each walk-up by its score above the threshold, under the old model and the new one"),
        format_html_join("", "{}", ((part,) for part in (*_axes(), *points))),
    )


def _x(value: float) -> float:
    return round(LEFT + (_inside(value) + 1) / 2 * (WIDE - LEFT - RIGHT), 1)


def _y(value: float) -> float:
    return round(HIGH - BELOW - (_inside(value) + 1) / 2 * (HIGH - ABOVE - BELOW), 1)


def _inside(value: float) -> float:
    return min(max(value / REACH, -1.0), 1.0)


def _point(old: float, new: float, agreement: str) -> SafeString:
    agree = agreement in (ShadowDecision.Agreement.SAME, ShadowDecision.Agreement.NEITHER)
    kind = "gh-agree" if agree else "gh-differ"
    return format_html('<circle class="{}" cx="{}" cy="{}" r="3"/>', kind, _x(old), _y(new))


def _axes() -> Iterable[SafeString]:
    edges = (
        (_x(-REACH), _y(0), _x(REACH), _y(0)),
        (_x(0), _y(-REACH), _x(0), _y(REACH)),
        (_x(-REACH), _y(-REACH), _x(REACH), _y(-REACH)),
        (_x(-REACH), _y(-REACH), _x(-REACH), _y(REACH)),
    )
    for x1, y1, x2, y2 in edges:
        yield format_html('<line class="gh-axis" x1="{}" y1="{}" x2="{}" y2="{}"/>', x1, y1, x2, y2)
    for value in (-0.4, -0.2, 0.0, 0.2, 0.4):
        text = f"{value:+g}" if value else "0"
        yield _text(_x(value), HIGH - BELOW + 15, text, "gh-tick gh-middle")
        yield _text(LEFT - 6, _y(value) + 4, text, "gh-tick gh-end")
    below = _("above or below the threshold of the model in use")
    yield _text((LEFT + WIDE) / 2, HIGH - 10, below, "gh-key gh-middle")
    yield _text(LEFT + 6, ABOVE + 12, _("new model"), "gh-key")


def _text(x: float, y: float, text: str, kind: str) -> SafeString:
    return format_html(
        '<text class="{}" x="{}" y="{}">{}</text>', kind, round(x, 1), round(y, 1), text
    )
