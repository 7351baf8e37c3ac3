"""A site's scores as a picture: both distributions, the threshold, and what each would let in.

SVG from the server, without scripts and styles of its own: colours are classes of admin.css.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accesscontrol.budgets import Ground
from accesscontrol.score_tail import BINS, WIDTH, Floats, search_rate

WIDE, TOP, GAP, BOTTOM = 720, 190, 46, 150
LEFT, RIGHT, ABOVE, BELOW = 84, 14, 44, 40
HEIGHT = ABOVE + TOP + GAP + BOTTOM + BELOW
BIN = 10  # bins of the survey to one of the picture
LOWEST_RATE = 1e-7

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A threshold to be drawn: what it is called, and the class that colours it."""

    value: float
    name: str
    kind: str


def plot(known: Ground, marks: Sequence[Mark]) -> SafeString:
    """The picture as an <svg> element."""
    low = _lowest(known, marks)
    parts = [
        *_distributions(known, low),
        *_rates(known, low),
        *_axis(low),
        *(_mark(mark, number, low) for number, mark in enumerate(marks)),
    ]
    return format_html(
        '<svg class="gh-plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
        WIDE,
        HEIGHT,
        _("Distributions of scores with the threshold, and the rate of strangers taken in"),
        format_html_join("", "{}", ((part,) for part in parts)),
    )


def _lowest(known: Ground, marks: Sequence[Mark]) -> float:
    """Where the picture begins: a tenth below the lowest thing that it shows."""
    seen = [mark.value for mark in marks]
    if known.measured:
        counts = np.cumsum(known.measured.impostors.counts)
        if counts[-1] > 0:
            first = int(np.searchsorted(counts, 0.005 * counts[-1]))
            seen.append(first * WIDTH - 1)
    return math.floor(min(seen, default=0.5) * 10 - 0.3) / 10


def _x(score: float, low: float) -> float:
    inside = min(max((score - low) / (1 - low), 0.0), 1.0)
    return LEFT + inside * (WIDE - LEFT - RIGHT)


def _distributions(known: Ground, low: float) -> Iterable[SafeString]:
    if known.measured is None:
        yield _text(LEFT + 8, ABOVE + 24, _("The gallery has not been surveyed yet."), "gh-note")
        return
    kinds = (
        ("gh-impostor", known.measured.impostors.counts, _("different people, one to one")),
        ("gh-nearest", known.measured.nearest, _("a stranger's nearest person")),
        ("gh-genuine", known.measured.genuine, _("templates of one person")),
    )
    x = float(LEFT)
    for kind, counts, name in kinds:
        if counts.sum() > 0:
            yield _area(counts, low, kind)
        else:
            name = _("%(kind)s: none") % {"kind": name}
        yield format_html('<rect class="{}" x="{}" y="6" width="12" height="12"/>', kind, x)
        yield _text(x + 17, 16, name, "gh-key")
        x += 30 + 6.6 * len(name)


def _area(counts: Floats, low: float, kind: str) -> SafeString:
    """A distribution, its highest point as high as the panel."""
    binned = counts.reshape(BINS // BIN, BIN).sum(axis=1)
    shares = binned / binned.max()
    base = ABOVE + TOP
    points: list[Point] = [(_x(low, low), base)]
    for number, share in enumerate(shares.tolist()):
        left = number * BIN * WIDTH - 1
        if left >= low - 1e-9:
            y = base - share * (TOP - 10)
            points += [(_x(left, low), y), (_x(left + BIN * WIDTH, low), y)]
    points.append((_x(1, low), base))
    return format_html('<polygon class="{}" points="{}"/>', kind, _points(points))


def _rates(known: Ground, low: float) -> Iterable[SafeString]:
    """FPIR over the threshold, estimate and upper bound, on a logarithmic scale."""
    top = ABOVE + TOP + GAP
    for power in range(-7, 1):
        y = _y(10.0**power)
        yield format_html(
            '<line class="gh-grid" x1="{}" y1="{}" x2="{}" y2="{}"/>', LEFT, y, WIDE - RIGHT, y
        )
        if power % 2 == 0:
            name = "1" if power == 0 else f"1 : {10**-power:,}"
            yield _text(LEFT - 5, y + 3.5, name, "gh-tick gh-end")
    title = _("how many strangers are taken for somebody: estimate, and at most (dashed)")
    yield _text(LEFT, top - 10, title, "gh-key")
    people = max(known.people, 1)
    rates = np.geomspace(1e-12, known.tail.fits[0].fraction, 50).tolist()
    for bound, kind in ((False, "gh-rate"), (True, "gh-rate gh-bound")):
        points = [
            (_x(score, low), _y(search_rate(rate, people)))
            for rate in rates
            if low <= (score := known.tail.score_at(rate, bound=bound)) <= 1
            and search_rate(rate, people) >= LOWEST_RATE
        ]
        yield format_html('<polyline class="{}" points="{}"/>', kind, _points(points))


def _y(rate: float) -> float:
    share = math.log10(max(rate, LOWEST_RATE)) / math.log10(LOWEST_RATE)
    return round(ABOVE + TOP + GAP + share * BOTTOM, 1)


def _axis(low: float) -> Iterable[SafeString]:
    for base in (ABOVE + TOP, HEIGHT - BELOW):
        yield format_html(
            '<line class="gh-axis" x1="{}" y1="{}" x2="{}" y2="{}"/>',
            LEFT,
            base,
            WIDE - RIGHT,
            base,
        )
        for tenth in range(round(low * 10), 11):
            yield _text(_x(tenth / 10, low), base + 15, f"{tenth / 10:g}", "gh-tick gh-middle")
    yield _text((LEFT + WIDE - RIGHT) / 2, HEIGHT - 8, _("likeness (cosine)"), "gh-key gh-middle")


def _mark(mark: Mark, number: int, low: float) -> SafeString:
    x = round(_x(mark.value, low), 1)
    return format_html(
        '<line class="gh-mark {}" x1="{}" y1="{}" x2="{}" y2="{}"/>{}',
        mark.kind,
        x,
        ABOVE - 8 + 12 * number,
        x,
        HEIGHT - BELOW,
        _text(
            x - 5, ABOVE + 2 + 12 * number, f"{mark.name} {mark.value:.4f}", f"gh-end {mark.kind}"
        ),
    )


def _text(x: float, y: float, text: str, kind: str) -> SafeString:
    return format_html(
        '<text class="{}" x="{}" y="{}">{}</text>', kind, round(x, 1), round(y, 1), text
    )


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
