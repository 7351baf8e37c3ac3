"""The comparison with the peers as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recognition.bench.contest import OURS

EVENTS = {
    "frame": "JPEG to embeddings, one face",
    "no_face": "JPEG to embeddings, no face",
    "detect": "detection, one face",
    "detect_blank": "detection, blank frame",
}
NOT_COMPARED = "-"


def table(figures: Mapping[str, Any]) -> str:
    """Lines of equal width: median milliseconds of each event, then recall by data set.

    Args:
        figures: of `peers.compare`.
    """
    peers = list(figures["recall_peers"])
    compared = figures["compared"]
    rows = [["milliseconds on one core, medians", OURS, *peers, "times as fast"]]
    rows += [_event_row(EVENTS[event], compared[event], peers) for event in EVENTS]
    rows.append(["found, of the images of", *[""] * (len(peers) + 2)])
    for name, share in figures["recall"].items():
        theirs = [figures["recall_peers"][peer][name] for peer in peers]
        title = f"{name} ({figures['recall_images'][name]})"
        rows.append([title, *(f"{100 * value:.1f} %" for value in (share, *theirs)), ""])
    return "\n".join(_aligned(rows))


def _event_row(title: str, times: Mapping[str, Mapping[str, float]], peers: list[str]) -> list[str]:
    cells = [
        f"{times[system]['ms']:.1f}" if system in times else NOT_COMPARED
        for system in (OURS, *peers)
    ]
    ratios = [times[peer]["ms"] / times[OURS]["ms"] for peer in peers if peer in times]
    return [title, *cells, ", ".join(f"{value:.1f}" for value in ratios)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
