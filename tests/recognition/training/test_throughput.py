"""What the speed of a step is measured on is what a run would do."""

from __future__ import annotations

import json
import threading

import pytest
import torch

from recognition.commands import main
from recognition.training.throughput import measure_throughput
from tests.recognition.training.tiny import TinyBatches, TinyModel, tiny_config


@pytest.mark.parametrize("prefetch", [0, 2])
def test_fed_and_ready_take_turns_and_the_ratio_is_the_median(prefetch: int) -> None:
    found = measure_throughput(
        TinyModel(), TinyBatches(), tiny_config(prefetch=prefetch), steps=4, turns=3
    )
    assert len(found.turns) == 3
    assert found.ratio == sorted(found.turns)[1]
    assert min(found.fed, found.ready, found.data) > 0


def test_every_batch_of_a_fed_step_is_a_new_one_and_comes_from_the_threads() -> None:
    class Noted(TinyBatches):
        asked: list[int] = []
        threads: set[str] = set()

        def at(self, step: int, rank: int = 0, ranks: int = 1) -> tuple[torch.Tensor, ...]:
            self.asked.append(step)
            self.threads.add(threading.current_thread().name.partition("_")[0])
            return super().at(step, rank, ranks)

    batches = Noted()
    measure_throughput(
        TinyModel(), batches, tiny_config(prefetch=2, accumulate=2), steps=5, turns=1
    )
    assert {*range((2 * 2 + 1 + 5) * 2)} <= set(batches.asked)
    assert "batches" in batches.threads
    assert threading.active_count() < 20


def test_the_command_measures_each_backbone_on_made_up_faces(
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = ["--batch", "4", "--people", "5", "--steps", "1", "--turns", "1", "--prefetch", "1"]
    assert main(["train", "throughput", "--backbone", "small", *few, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["backbones"]["small"]["fed"] > 0
    assert said["batch"] == 4
    assert said["precision"] == "float32"


def test_where_there_is_no_cuda_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is CUDA here")
    assert main(["train", "throughput", "--device", "cuda"]) == 1
    assert "there is no CUDA here; use cpu" in capsys.readouterr().err
