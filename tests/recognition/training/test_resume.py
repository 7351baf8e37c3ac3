"""A run that was killed comes to what it would have come to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from recognition.training.checkpoint import Checkpoints
from recognition.training.journal import read_rows
from recognition.training.trainer import Batch, TrainingError, train
from tests.recognition.training.tiny import Heard, TinyBatches, TinyModel, tiny_config

_WATCHED = {"watched": True, "validate_every": 3, "watch": "loss", "higher_is_better": False}
_KINDS: dict[str, dict[str, object]] = {
    "all at once": {"prefetch": 3, "accumulate": 2, "ema": 0.9, "clip": 0.5, **_WATCHED},
    "float16, sgd": {"precision": "float16", "optimiser": "sgd", "weight_decay": 0.1},
}


@pytest.mark.parametrize("kind", _KINDS)
def test_killed_in_mid_epoch_it_comes_to_the_same_curve_and_weights(
    tmp_path: Path, kind: str
) -> None:
    told = {**_KINDS[kind], "steps": 20}
    accumulate = int(str(told.get("accumulate", 1)))
    run(tmp_path / "whole", told)

    for step in (3, 18):  # before the first checkpoint, after the third
        kill_at(tmp_path / "killed", {**told, "hold": step * accumulate})
    said = run(tmp_path / "killed", told)

    assert "going on from step 15" in said
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    assert len([row for row in curve(tmp_path / "whole") if "losses" in row]) == 20
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    ends = [
        Checkpoints(tmp_path / name / "checkpoints", 2).read(20) for name in ("killed", "whole")
    ]
    assert ends[0].facts == ends[1].facts
    assert all(ends[0].tensors[name].equal(value) for name, value in ends[1].tensors.items())


def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_says_so(tmp_path: Path) -> None:
    whole(tmp_path / "whole")
    unplugged(tmp_path / "killed", 11)
    newest = tmp_path / "killed" / "checkpoints" / "00000010.safetensors"
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(content)

    said = whole(tmp_path / "killed")

    assert "the checkpoint of step 10 is of no use" in said
    assert "was changed since it was written" in said
    assert "going on from step 5" in said
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["cut short", "gone", "not JSON"])
def test_without_any_whole_checkpoint_it_refuses_rather_than_begin_anew(
    tmp_path: Path, damage: str
) -> None:
    unplugged(tmp_path, 11)
    for path in (tmp_path / "checkpoints").iterdir():
        if damage == "not JSON" and path.suffix == ".json":
            path.write_text("{")
        elif path.suffix == ".safetensors":
            path.write_bytes(path.read_bytes()[:-9])
            if damage == "gone":
                path.unlink()

    with pytest.raises(TrainingError, match=r"no checkpoint in .* is whole"):
        train(TinyModel(), TinyBatches(), tiny_config(), tmp_path)


def test_what_a_kill_left_half_written_does_not_count(tmp_path: Path) -> None:
    whole(tmp_path / "whole")
    unplugged(tmp_path / "killed", 7)
    checkpoints = tmp_path / "killed" / "checkpoints"
    (checkpoints / "00000006.safetensors").write_bytes(b"half")
    (checkpoints / ".partial-x").write_bytes(b"half")
    (tmp_path / "killed" / ".partial-x").write_bytes(b"half")
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "los')

    assert "going on from step 5" in whole(tmp_path / "killed")
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    assert {path.stem for path in checkpoints.iterdir()} == {"00000010", "00000012"}
    assert not (tmp_path / "killed" / ".partial-x").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"learning_rate": 0.01}, "another configuration .learning_rate: 0.05, now 0.01"),
        ({"seed": 3}, "another configuration .seed: 0, now 3"),
        ({"about": {"margin": 0.4}}, "another configuration .about: {}, now {'margin': 0.4}"),
    ],
)
def test_another_configuration_is_refused(
    tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    unplugged(tmp_path, 7)
    with pytest.raises(TrainingError, match=message):
        train(TinyModel(), TinyBatches(), tiny_config(**changed), tmp_path)


def test_other_data_are_refused(tmp_path: Path) -> None:
    unplugged(tmp_path, 7)
    with pytest.raises(TrainingError, match=r"another data .*tiny 8 1, now tiny 8 2"):
        train(TinyModel(), TinyBatches(seed=2), tiny_config(), tmp_path)


def test_another_model_is_refused(tmp_path: Path) -> None:
    unplugged(tmp_path, 7)
    with pytest.raises(TrainingError, match="another model"):
        train(TinyModel(norm=False), TinyBatches(), tiny_config(), tmp_path)


def test_a_checkpoint_brought_from_another_run_is_refused(tmp_path: Path) -> None:
    unplugged(tmp_path / "one", 7)
    unplugged(tmp_path / "other", 7, seed=3)
    for name in ("00000005.json", "00000005.safetensors"):
        (tmp_path / "other" / "checkpoints" / name).replace(tmp_path / "one/checkpoints" / name)
    with pytest.raises(TrainingError, match=r"another configuration .seed: 3, now 0"):
        train(TinyModel(), TinyBatches(), tiny_config(), tmp_path / "one")


def test_it_is_refused_even_before_the_first_checkpoint(tmp_path: Path) -> None:
    unplugged(tmp_path, 2)
    with pytest.raises(TrainingError, match="another data"):
        train(TinyModel(), TinyBatches(seed=2), tiny_config(), tmp_path)


def test_how_often_checkpoints_are_made_may_change(tmp_path: Path) -> None:
    whole(tmp_path / "whole")
    unplugged(tmp_path / "killed", 7)
    whole(tmp_path / "killed", checkpoint_every=2, keep=9, prefetch=2)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_a_run_that_has_ended_is_not_made_again(tmp_path: Path) -> None:
    first = train(TinyModel(), TinyBatches(), tiny_config(), tmp_path)
    heard, model = Heard(), TinyModel(seed=8)

    again = train(model, TinyBatches(spoilt=0), tiny_config(), tmp_path, listener=heard)

    assert again == first
    assert heard.steps == []
    assert heard.messages == ["this run has finished at step 12"]


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    process = start(tmp_path, {"hold": 7})
    try:
        with pytest.raises(TrainingError, match="another process trains in"):
            train(TinyModel(), TinyBatches(), tiny_config(), tmp_path)
    finally:
        process.kill()
        process.communicate()


def test_where_a_checkpoint_has_no_room_the_last_one_stays(tmp_path: Path) -> None:
    whole(tmp_path / "whole")
    unplugged(tmp_path / "full", 7)

    said = run(tmp_path / "full", {"limit": 2000}, status=1)

    assert "could not be written" in said
    assert "Make room there" in said
    assert {path.stem for path in (tmp_path / "full/checkpoints").iterdir()} == {"00000005"}
    whole(tmp_path / "full")
    assert weights(tmp_path / "full") == weights(tmp_path / "whole")


class Unplugged(TinyBatches):
    """Batches that come to an end in the midst of a run."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.end = at

    def at(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        if step == self.end:
            raise ConnectionError("unplugged")
        return super().at(step, rank, ranks)


def unplugged(folder: Path, at: int, **changed: object) -> None:
    """A run that broke off at a step."""
    with pytest.raises(ConnectionError):
        train(TinyModel(), Unplugged(at), tiny_config(**changed), folder)


def whole(folder: Path, **changed: object) -> str:
    """A run to its end; what it said."""
    heard = Heard()
    train(TinyModel(), TinyBatches(), tiny_config(**changed), folder, listener=heard)
    return " ".join(heard.messages)


def start(folder: Path, told: Mapping[str, object]) -> subprocess.Popen[str]:
    """A run that holds, and has said so."""
    process = subprocess.Popen(_command(folder, told), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("holding"):
            return process
    raise AssertionError("it did not come so far")


def kill_at(folder: Path, told: Mapping[str, object]) -> None:
    """Begin or go on with a run, and kill it where it holds."""
    process = start(folder, told)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def run(folder: Path, told: Mapping[str, object], status: int = 0) -> str:
    """Begin or go on with a run; what it said."""
    ended = subprocess.run(
        _command(folder, told), check=False, stdout=subprocess.PIPE, text=True, timeout=120
    )
    assert ended.returncode == status, ended.stdout
    return ended.stdout


def curve(folder: Path) -> list[dict[str, object]]:
    """Every line of a run's figures, but for its speed."""
    return [row for row in read_rows(folder) if "speed" not in row]


def weights(folder: Path) -> bytes:
    """The file of weights."""
    return (folder / "weights.safetensors").read_bytes()


def _command(folder: Path, told: Mapping[str, object]) -> list[str]:
    module = "tests.recognition.training.tiny_run"
    return [sys.executable, "-m", module, str(folder), json.dumps(dict(told))]
