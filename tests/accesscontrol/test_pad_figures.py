"""The figures on the threshold page are those of the benchmarks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accesscontrol import pad_figures
from tests.services import PROJECT


def benchmark(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PROJECT / "docs/benchmarks" / name).read_text())
    return found


@pytest.mark.parametrize(
    ("kind", "measured"),
    [("print", pad_figures.PRINTS_PASSED), ("video replay", pad_figures.REPLAYS_PASSED)],
)
def test_attacks(kind: str, measured: pad_figures.Measured) -> None:
    pad = benchmark("pad.json")
    assert measured.of == pad["kinds"][kind]["frames"]
    assert measured.wrong == round(pad["kinds"][kind]["apcer"] * measured.of)
    assert measured.at_most == pytest.approx(pad["upper95"][kind], abs=5e-5)


def test_living_faces() -> None:
    pad, measured = benchmark("pad.json"), pad_figures.FACES_REFUSED
    assert measured.of == pad["presentations"]["live"]
    assert measured.wrong == round(pad["bpcer"] * measured.of)
    assert measured.at_most == pytest.approx(pad["upper95"]["live"], abs=5e-5)


def test_turned_prints_and_recordings() -> None:
    found = benchmark("challenge.json")
    surfaces = found["by_turning"]
    flat = surfaces.pop("flat print")
    bent = [surface for name, surface in surfaces.items() if "bent" in name]
    tightest = max(bent, key=lambda surface: surface["passed"])
    for measured, surface in (
        (pad_figures.FLAT_PRINTS_TURNED, flat),
        (pad_figures.BENT_PRINTS_TURNED, tightest),
    ):
        assert (measured.wrong, measured.of) == (surface["passed"], surface["portraits"])
        assert measured.at_most == pytest.approx(surface["upper95"], abs=5e-5)
    assert pytest.approx(found["recorded_sequence_fits"]) == pad_figures.ONE_RECORDING_FITS
