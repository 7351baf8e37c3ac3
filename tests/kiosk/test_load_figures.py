"""The figures of a load benchmark, against cases that can be counted by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from kiosk.installation import StepError
from kiosk.load.figures import answer_times, jain, judge, phase_figures, spread
from kiosk.load.people import people_in
from kiosk.load.plot import write_plot
from kiosk.load.processes import busy_s, use_of_parts
from kiosk.load.walker import Log, WalkUp


def log(*decisions: dict[str, Any], person: str = "Anna", enrolled: bool = True) -> dict[str, Any]:
    """A kiosk that sent ten frames, one each 100 ms, frames 3 to 6 of one walk-up."""
    kept = Log("kiosk", sent_ms=[100 * number for number in range(1, 11)])
    kept.walk_ups.append(WalkUp(person, enrolled, 300, 3, 6))
    kept.decisions.extend(decisions)
    kept.answers.extend([(4, 450), (6, 690)])
    return kept.plain()


def decided(seq: int, employee: str | None, *, after_ms: int = 80) -> dict[str, Any]:
    outcome = "ACCEPTED" if employee else "NO_MATCH"
    return {"seq": seq, "outcome": outcome, "employee": employee, "at_ms": 100 * seq + after_ms}


class TestJudging:
    def test_one_right_acceptance(self) -> None:
        judged = judge(log(decided(4, "Anna")))
        assert (judged.counts["one"], judged.counts["right"], judged.counts["wrong"]) == (1, 1, 0)
        assert (judged.waits_ms, judged.frame_ms) == ([180], [80])

    def test_somebody_elses_name_is_wrong(self) -> None:
        counts = judge(log(decided(4, "Bert"))).counts
        assert (counts["one"], counts["right"], counts["wrong"]) == (1, 0, 1)

    def test_a_stranger_who_is_accepted_is_wrong_and_who_is_refused_right(self) -> None:
        assert judge(log(decided(4, "Anna"), enrolled=False)).counts["wrong"] == 1
        refused = judge(log(decided(6, None, after_ms=2_000), enrolled=False))
        assert refused.counts["right"] == 1
        assert refused.waits_ms == [], "a refusal waits for more to be seen"

    def test_an_employee_who_is_refused_is_neither_right_nor_wrong(self) -> None:
        counts = judge(log(decided(6, None))).counts
        assert (counts["one"], counts["right"], counts["wrong"]) == (1, 0, 0)

    def test_no_decision_and_several_are_told_apart(self) -> None:
        assert judge(log()).counts["none"] == 1
        counts = judge(log(decided(4, "Anna"), decided(6, None))).counts
        assert (counts["several"], counts["one"], counts["right"]) == (1, 0, 0)

    @pytest.mark.parametrize("seq", [1, 2, 7, 10])
    def test_a_decision_on_a_frame_of_no_walk_up_stands_apart(self, seq: int) -> None:
        counts = judge(log(decided(seq, "Anna"))).counts
        assert (counts["beside"], counts["none"]) == (1, 1)


class TestNumbers:
    @pytest.mark.parametrize(
        ("shares", "index"),
        [([5, 5, 5], 1.0), ([9, 0, 0], 0.3333), ([1, 3], 0.8), ([0, 0], None), ([], None)],
    )
    def test_jains_index(self, shares: list[float], index: float | None) -> None:
        assert jain(shares) == index

    def test_the_spread_of_nothing_is_unknown(self) -> None:
        assert spread([]) == {"p50": None, "p95": None, "max": None}

    def test_the_spread_of_times(self) -> None:
        assert spread(list(range(101))) == {"p50": 50, "p95": 95, "max": 100}

    def test_times_to_an_answer(self) -> None:
        assert answer_times(log()) == [50, 90]

    def test_a_phase_adds_up_its_kiosks(self) -> None:
        figures = phase_figures([log(decided(4, "Anna")), log()], seconds=2)
        assert figures["sent_per_s"] == 10
        assert figures["analysed_per_s"] == 2
        assert figures["walk_ups"] == {
            "walk_ups": 2, "one": 1, "none": 1, "several": 0, "right": 1, "wrong": 0, "beside": 0,
        }  # fmt: skip
        assert figures["fairness"]["jain_analysed"] == 1
        assert figures["fairness"]["jain_decided"] == 0.5
        assert figures["fairness"]["worst_undecided"] == 1

    def test_kiosks_that_sent_nothing_are_not_unfairly_treated(self) -> None:
        resting = Log("resting").plain()
        assert phase_figures([log(), resting], 1)["fairness"]["jain_analysed"] == 1


def test_a_folder_of_people_gives_those_to_enrol_and_strangers(tmp_path: Path) -> None:
    for name, images in (("anna", 3), ("bert", 1), ("carl", 2), ("empty", 0)):
        (tmp_path / name).mkdir()
        for number in range(images):
            (tmp_path / name / f"{number}.jpg").touch()
    anna, carl, bert = people_in(tmp_path)
    assert [path.name for path in anna.photos] == ["0.jpg", "1.jpg"]
    assert anna.portrait.name == "2.jpg", "they walk past with another picture"
    assert (carl.name, bert.name, bert.photos) == ("carl", "bert", ())
    with pytest.raises(StepError, match="a folder for each person"):
        people_in(tmp_path / "anna")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_processes_are_counted_below_their_root_only() -> None:
    program = [sys.executable, "-c", "input()", "uvicorn"]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as process:
        assert use_of_parts(os.getpid())["web"].memory_mb > 0
        assert use_of_parts(process.pid) == {}
        assert busy_s() > 0
        process.kill()


def test_a_plot_is_the_same_for_the_same_figures(tmp_path: Path) -> None:
    phase = phase_figures([log(decided(4, "Anna"))], 1)
    figures = {"rate": 20.0, "kiosks": 2, "full": {"1": phase, "2": phase}, "usual": {"2": phase}}
    for name in ("a.svg", "b.svg"):
        write_plot(figures, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_an_installation_in_use_is_never_measured(settings: Settings) -> None:
    used = settings.ENVIRONMENT.model_copy(update={"database_url": "postgresql://u@h/db"})
    settings.ENVIRONMENT = used
    with pytest.raises(CommandError, match="Unset DATABASE_URL"):
        call_command("bench_kiosks")


@pytest.mark.parametrize("options", [["--kiosks", "0"], ["--rate", "31"], ["--seconds", "1"]])
def test_senseless_numbers_are_refused(options: list[str], settings: Settings) -> None:
    empty = {"database_url": None, "redis_url": None}
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update=empty)
    with pytest.raises(CommandError, match="rate"):
        call_command("bench_kiosks", *options)
