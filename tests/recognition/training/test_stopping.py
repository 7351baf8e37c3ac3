"""Training stops where it makes nothing better, and keeps what was best."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from recognition.training.checkpoint import Checkpoints
from recognition.training.journal import read_rows
from recognition.training.trainer import DivergedError, TrainingError, train
from tests.recognition.training.tiny import Heard, TinyBatches, TinyModel, tiny_config


@pytest.mark.parametrize("spoilt", [6, 7, 10, 11])
def test_a_loss_that_is_no_number_stops_it_and_the_last_checkpoint_is_from_before(
    tmp_path: Path, spoilt: int
) -> None:
    batches = TinyBatches(spoilt=spoilt)
    message = f"at step {spoilt + 1} no number any more: gradient|at step {spoilt + 1} no number"
    with pytest.raises(DivergedError, match=message):
        train(TinyModel(), batches, tiny_config(), tmp_path)

    newest = Checkpoints(tmp_path / "checkpoints", 2).steps()[0]
    assert newest == (5 if spoilt < 10 else 10)
    kept = Checkpoints(tmp_path / "checkpoints", 2).read(newest)
    assert all(bool(value.isfinite().all()) for value in kept.part("model").values())
    assert all(row["step"] <= spoilt for row in read_rows(tmp_path))


def test_a_gradient_that_is_no_number_stops_it_though_the_loss_is_one(tmp_path: Path) -> None:
    class Kinked(TinyModel):
        def forward(self, values: Tensor, labels: Tensor) -> dict[str, Tensor]:
            losses = super().forward(values, labels)
            weight = next(self.parameters())
            return {"loss": losses["loss"] + (weight - weight).square().sum().sqrt()}

    with pytest.raises(DivergedError, match="at step 1 no number any more: gradient"):
        train(Kinked(), TinyBatches(), tiny_config(), tmp_path)
    assert Checkpoints(tmp_path / "checkpoints", 2).steps() == []


def test_float16_that_always_overflows_stops_it(tmp_path: Path) -> None:
    class Huge(TinyModel):
        def forward(self, values: Tensor, labels: Tensor) -> dict[str, Tensor]:
            return {"loss": 1e34 * self.layers(values).float().sum()}

    with pytest.raises(DivergedError, match="every gradient overflowed in float16"):
        train(Huge(), TinyBatches(), tiny_config(steps=60, precision="float16"), tmp_path)


def test_validation_that_gets_no_better_stops_it_and_the_best_weights_are_kept(
    tmp_path: Path,
) -> None:
    model, heard = TinyModel(), Heard()
    weights: list[dict[str, Tensor]] = []
    validate = scores([0.5, 0.8, 0.7, 0.8, 0.6, 0.9], weights)
    config = tiny_config(steps=60, validate_every=3, watch="accuracy", patience=3)

    trained = train(model, TinyBatches(), config, tmp_path, validate=validate, listener=heard)

    assert trained.ended == "stopped early"
    assert (trained.steps, trained.best_step) == (15, 6)
    assert trained.validation == {"accuracy": 0.8}
    assert same(model, weights[1])
    assert not same(model, weights[2])
    kept = safetensors.torch.load_file(trained.weights)
    assert same(model, kept)
    again = train(TinyModel(), TinyBatches(), config, tmp_path, validate=validate)
    assert again == trained


def test_a_figure_may_be_better_the_lower_it_is(tmp_path: Path) -> None:
    config = tiny_config(validate_every=3, watch="accuracy", higher_is_better=False)
    validate = scores([0.5, 0.3, 0.3, 0.4], [])
    assert train(TinyModel(), TinyBatches(), config, tmp_path, validate=validate).best_step == 6


def test_what_is_validated_is_the_average_in_evaluation_mode(tmp_path: Path) -> None:
    weights: list[dict[str, Tensor]] = []
    modes: list[tuple[bool, bool]] = []

    def validate(model: nn.Module) -> dict[str, float]:
        modes.append((model.training, torch.is_grad_enabled()))
        return scores([0.5], weights)(model)

    config = tiny_config(ema=0.9, validate_every=12, watch="accuracy")
    train(TinyModel(), TinyBatches(), config, tmp_path, validate=validate)

    assert modes == [(False, False)]
    end = Checkpoints(tmp_path / "checkpoints", 2).read(12)
    assert all(value.equal(weights[0][name]) for name, value in end.part("average").items())
    assert not all(value.equal(weights[0][name]) for name, value in end.part("model").items())


def test_validating_changes_nothing_in_training(tmp_path: Path) -> None:
    def validate(model: nn.Module) -> dict[str, float]:
        torch.randn(17)
        return {"accuracy": 0.5}

    watched = tiny_config(validate_every=2, watch="accuracy")
    train(TinyModel(), TinyBatches(), watched, tmp_path / "watched", validate=validate)
    train(TinyModel(), TinyBatches(), tiny_config(), tmp_path / "alone")

    ends = [
        Checkpoints(tmp_path / name / "checkpoints", 2).read(12) for name in ("watched", "alone")
    ]
    assert all(ends[0].tensors[name].equal(value) for name, value in ends[1].tensors.items())


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"precision": 1.0}, "gave no 'accuracy', but precision"),
        ({"accuracy": float("nan")}, "at step 3 validation gave no number: accuracy"),
    ],
)
def test_validation_without_its_figure_stops_it(
    tmp_path: Path, figures: dict[str, float], message: str
) -> None:
    config = tiny_config(validate_every=3, watch="accuracy")
    with pytest.raises(TrainingError, match=message):
        train(TinyModel(), TinyBatches(), config, tmp_path, validate=lambda _: figures)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"warmup": 12}, "warmup must be shorter"),
        ({"ema": 1.0}, "ema must be"),
        ({"precision": "float8"}, "no precision 'float8'"),
        ({"optimiser": "lion"}, "no optimiser 'lion'"),
        ({"validate_every": 3}, "validate_every needs watch"),
        ({"patience": 3}, "patience needs validate_every"),
        ({"speed": 3}, "unknown fields speed"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    changed: dict[str, object], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        tiny_config(**changed)


def test_a_configuration_comes_back_from_json() -> None:
    config = tiny_config(about={"loss": "arcface", "margin": 0.5}, ema=0.99)
    assert type(config).from_json(json.loads(json.dumps(config.to_json()))) == config


def test_validation_that_is_asked_for_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing to validate with"):
        train(TinyModel(), TinyBatches(), tiny_config(validate_every=3, watch="x"), tmp_path)


def scores(
    values: list[float], weights: list[dict[str, Tensor]]
) -> Callable[[nn.Module], dict[str, float]]:
    """A validation that gives these, one after another, and keeps the weights it was shown."""

    def validate(model: nn.Module) -> dict[str, float]:
        weights.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"accuracy": values[len(weights) - 1]}

    return validate


def same(model: nn.Module, state: dict[str, Tensor]) -> bool:
    """Whether the model holds these weights."""
    return all(value.equal(state[name]) for name, value in model.state_dict().items())
