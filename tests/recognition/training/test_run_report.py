"""A run leaves a report that a person can read without anything else."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recognition.training.run_report import write_run_report
from recognition.training.trainer import WITHOUT_TENSORBOARD, train
from tests.recognition.training.tiny import Heard, TinyBatches, TinyModel, tiny_config


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_it_holds_the_curves_the_configuration_the_data_and_the_machine(tmp_path: Path) -> None:
    config = tiny_config(
        validate_every=3, watch="accuracy", about={"loss": "<arcface>", "margin": 0.5}
    )
    train(TinyModel(), TinyBatches(), config, tmp_path, validate=lambda _: {"accuracy": 0.75})

    page = (tmp_path / "report.html").read_text()
    drawn = {one["aria-label"] for tag, one in Tags(page).found if tag == "svg"}
    assert drawn == {
        "Loss",
        "Validation",
        "Learning rate",
        "Norm of the gradient",
        "Items per second",
        "Part of the time spent waiting for data",
    }
    for text in ("tiny 8 1", "configuration.learning_rate", "&lt;arcface&gt;", "machine.torch"):
        assert text in page


def test_it_loads_and_runs_nothing(tmp_path: Path) -> None:
    train(TinyModel(), TinyBatches(), tiny_config(), tmp_path)
    for tag, attributes in Tags((tmp_path / "report.html").read_text()).found:
        assert tag not in {"script", "link", "iframe", "img", "image"}
        for name, value in attributes.items():
            assert not (name in {"href", "xlink:href", "src"} and not str(value).startswith("#"))


def test_a_long_run_has_a_small_report(tmp_path: Path) -> None:
    train(TinyModel(), TinyBatches(), tiny_config(), tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        for step in range(13, 50_000):
            file.write(json.dumps({"step": step, "losses": {"loss": 1 / step}, "rate": 0.1}) + "\n")
    write_run_report(tmp_path, {})
    assert (tmp_path / "report.html").stat().st_size < 200_000


def test_where_tensorboard_is_missing_one_line_says_so_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    heard = Heard()
    train(TinyModel(), TinyBatches(), tiny_config(), tmp_path, listener=heard)
    assert heard.messages == [WITHOUT_TENSORBOARD]
    assert not (tmp_path / "events").exists()
    assert (tmp_path / "report.html").exists()


def test_where_tensorboard_is_there_it_is_given_every_figure(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(TinyModel(), TinyBatches(), tiny_config(), tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [event.step for event in events.Scalars("losses/loss")] == list(range(1, 13))
    assert {"losses/size", "rate", "gradient", "speed/items_per_second"} <= set(
        events.Tags()["scalars"]
    )
