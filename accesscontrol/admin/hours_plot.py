"""At what hours somebody comes: a small plot, SVG from the server without scripts or styles."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

STEP, HIGH, BELOW = 7, 36, 13
TICKS = (0, 6, 12, 18)


def plot(hours: Sequence[int]) -> SafeString:
    """A bar for each of 24 hours, the highest as high as the plot; in words for who sees none."""
    most = max(max(hours), 1)
    bars = (
        (hour * STEP + 1, round(HIGH - HIGH * count / most, 1), round(HIGH * count / most, 1))
        for hour, count in enumerate(hours)
        if count
    )
    return format_html(
        '<svg class="gh-plot gh-hours" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<line class="gh-axis" x1="0" y1="{}" x2="{}" y2="{}"/>{}{}</svg>',
        24 * STEP,
        HIGH + BELOW,
        summary(hours),
        HIGH,
        24 * STEP,
        HIGH,
        format_html_join(
            "",
            '<rect class="gh-bar" x="{}" y="{}" width="5" height="{}"/>',
            ((x, str(y), str(height)) for x, y, height in bars),
        ),
        format_html_join(
            "",
            '<text class="gh-tick" x="{}" y="{}">{}</text>',
            ((hour * STEP, HIGH + BELOW - 2, hour) for hour in TICKS),
        ),
    )


def summary(hours: Sequence[int]) -> str:
    """“Visits by hour: 8 h 3, 17 h 1”."""
    found = (f"{hour}:00 {count}" for hour, count in enumerate(hours) if count)
    return _("Visits by hour of the day: %(hours)s") % {"hours": ", ".join(found)}
