"""Training comes to what a plain loop comes to."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from recognition.training.checkpoint import Checkpoints
from recognition.training.journal import read_rows
from recognition.training.rules import schedule
from recognition.training.trainer import TrainingError, train
from tests.recognition.training.tiny import TinyBatches, TinyModel, WithCentre, tiny_config


def test_it_makes_the_steps_that_a_plain_loop_makes(tmp_path: Path) -> None:
    config = tiny_config(weight_decay=0.1, clip=0.5)
    model = TinyModel(dropout=0)
    train(model, TinyBatches(), config, tmp_path)

    plain = TinyModel(dropout=0)
    matrices = [value for value in plain.parameters() if value.ndim >= 2]
    others = [value for value in plain.parameters() if value.ndim < 2]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    )
    losses: list[float] = []
    for step in range(12):
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * schedule(step, config)
        optimiser.zero_grad()
        loss = plain(*TinyBatches().at(step))["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimiser.step()
        losses.append(loss.item())

    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-6, atol=1e-7)
    assert _losses(tmp_path) == pytest.approx(losses)
    assert not model.training


def test_each_accumulated_step_is_that_of_the_large_batch(tmp_path: Path) -> None:
    class Large(TinyBatches):
        def at(self, step: int, rank: int = 0, ranks: int = 1) -> tuple[torch.Tensor, ...]:
            parts = [super(Large, self).at(4 * step + part) for part in range(4)]
            return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))

    small, large = TinyModel(dropout=0, norm=False), TinyModel(dropout=0, norm=False)
    train(small, TinyBatches(), tiny_config(accumulate=4), tmp_path / "small")
    train(large, Large(), tiny_config(), tmp_path / "large")

    for name, value in large.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], value, rtol=1e-4, atol=1e-6)


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine_to_the_floor() -> None:
    config = tiny_config(steps=13, warmup=4, floor=0.1)
    rates = [schedule(step, config) for step in range(13)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4] == pytest.approx(1)
    assert rates[8] == pytest.approx(0.1 + 0.9 * 0.5)
    assert rates[10] == pytest.approx(0.1 + 0.9 * (1 + math.cos(0.75 * math.pi)) / 2)
    assert rates[12] == pytest.approx(0.1)


def test_a_parameter_with_a_rule_of_its_own_moves_by_its_own_rate_alone(tmp_path: Path) -> None:
    model = WithCentre()
    train(model, TinyBatches(), tiny_config(clip=1e-3), tmp_path)

    centre = torch.zeros(4)
    for step in range(12):
        centre += 0.5 * (TinyBatches().at(step)[0].mean(0) - centre)
    torch.testing.assert_close(model.centre.detach(), centre)


def test_batches_made_ahead_on_threads_are_the_same(tmp_path: Path) -> None:
    one, other = TinyModel(), TinyModel()
    train(one, TinyBatches(), tiny_config(prefetch=0, accumulate=2), tmp_path / "0")
    train(other, TinyBatches(), tiny_config(prefetch=3, accumulate=2), tmp_path / "3")
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_what_making_a_batch_raises_ends_the_run(tmp_path: Path) -> None:
    class Broken(TinyBatches):
        def at(self, step: int, rank: int = 0, ranks: int = 1) -> tuple[torch.Tensor, ...]:
            if step == 6:
                raise OSError("the photo is gone")
            return super().at(step)

    with pytest.raises(OSError, match="the photo is gone"):
        train(TinyModel(), Broken(), tiny_config(prefetch=2), tmp_path)


def test_the_average_of_weights_follows_its_formula(tmp_path: Path) -> None:
    model = TinyModel(dropout=0)
    train(model, TinyBatches(), tiny_config(ema=0.9), tmp_path / "run")

    each = tiny_config(ema=0.9, checkpoint_every=1, keep=12)
    train(TinyModel(dropout=0), TinyBatches(), each, tmp_path / "each")
    checkpoints = Checkpoints(tmp_path / "each" / "checkpoints", 12)
    average = TinyModel(dropout=0).state_dict()
    for step in range(12):
        kept = min(0.9, (1 + step) / (10 + step))
        average = {
            name: kept * average[name] + (1 - kept) * value if value.is_floating_point() else value
            for name, value in checkpoints.read(step + 1).part("model").items()
        }
    for name, value in average.items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-4, atol=1e-6)


def test_bfloat16_learns_nearly_the_same_with_weights_of_32_bits(tmp_path: Path) -> None:
    exact, reduced = TinyModel(dropout=0), TinyModel(dropout=0)
    train(exact, TinyBatches(), tiny_config(), tmp_path / "exact")
    train(reduced, TinyBatches(), tiny_config(precision="bfloat16"), tmp_path / "reduced")

    losses = [_losses(tmp_path / name) for name in ("exact", "reduced")]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[1] != losses[0]
    assert all(value.dtype == torch.float32 for value in reduced.parameters())


def test_float16_skips_steps_that_overflow_at_a_smaller_scale_and_learns(tmp_path: Path) -> None:
    config = tiny_config(steps=30, precision="float16")
    train(TinyModel(dropout=0), TinyBatches(), config, tmp_path)

    losses = _losses(tmp_path)
    assert losses[-1] < losses[0] / 2
    scale = Checkpoints(tmp_path / "checkpoints", 2).read(30).facts["scaler"]["scale"]
    assert 1 <= scale < 2**16


def test_a_model_without_a_loss_is_refused(tmp_path: Path) -> None:
    class Lossless(TinyModel):
        def forward(self, values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"softmax": super().forward(values, labels)["loss"]}

    with pytest.raises(TrainingError, match='dict with "loss"'):
        train(Lossless(), TinyBatches(), tiny_config(), tmp_path)


def _losses(folder: Path) -> list[float]:
    return [row["losses"]["loss"] for row in read_rows(folder) if "losses" in row]
