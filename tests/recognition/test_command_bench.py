"""`bench` names what it measured, compares with peers, and tells what keeps it from that."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from recognition.commands import benchmark, main

PEER = """
import json, sys
peer = sys.argv[3]
print(json.dumps({"peer": peer, "versions": {peer: "1.0"}}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "keep":
        height, width = request["shape"]
        print("{}", flush=True)
        continue
    box = [width / 2 - 9, height / 2 - 9, width / 2 + 9, height / 2 + 9]
    answer = {"ms": 1e6, "cpu_ms": 1e6, "faces": 1, "boxes": [box]}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(autouse=True)
def everything_fetched(models_dir: Path, face_files: dict[str, Path]) -> None:
    """The command finds models and portraits where an installation keeps them."""


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(value, dict)
    return value


def test_the_benchmark_names_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--json", "--rounds", "1", "--device", "cpu"]) == 0
    figures = last_json(capsys)
    for key in (
        "frame_ms",
        "no_face_ms",
        "decode_ms",
        "detect_ms",
        "detect_no_face_ms",
        "align_ms",
        "quality_ms",
        "embed_ms",
        "pad_ms",
        "frames_per_s",
        "memory_mb",
    ):
        assert figures[key] > 0
    assert figures["threads"] == 1
    assert set(figures["batches"]) == {"1", "2", "4", "8", "16"}


def test_the_benchmark_tells_how_memory_grows_over_many_frames(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bench", "--json", "--rounds", "1", "--soak", "40", "--device", "cpu"]) == 0
    figures = last_json(capsys)
    assert figures["soak_frames"] == 40
    expected = figures["rss_end_mb"] / figures["rss_start_mb"] - 1
    assert figures["rss_growth"] == pytest.approx(expected, abs=0.001)


def test_the_benchmark_refuses_an_image_without_a_face(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    image = tmp_path / "garbage.jpg"
    image.write_bytes(b"garbage")
    assert main(["bench", "--image", str(image)]) == 1
    assert "error:" in capsys.readouterr().err


def test_the_fused_embedder_has_a_stage_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, models_dir: Path
) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(models_dir.parent))
    options = ["--json", "--rounds", "1", "--device", "cpu", "--embedder", "fused"]
    assert main(["bench", *options]) == 0
    figures = last_json(capsys)
    assert figures["describe_ms"] > 0
    assert figures["model"] == "mobilefacenet+resnet29"


def write_program(path: Path, source: str) -> None:
    """Something to run at `path`; by the shell, as a first line `#!` allows no space in a path."""
    script = path.with_suffix(".py")
    script.write_text(source)
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    path.chmod(0o755)


@pytest.fixture
def peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of the peers' Python a program that finds a slow face at each image's centre."""
    program = tmp_path / "python"
    write_program(program, PEER)
    monkeypatch.setattr(benchmark, "peers_python", lambda home, say: program)
    return program


def test_the_comparison_is_told_as_figures_and_as_a_table(
    capsys: pytest.CaptureFixture[str], peers: Path, face_files: dict[str, Path], tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.jpg").write_bytes(face_files["obama.jpg"].read_bytes())
    arguments = ["--peers", "--rounds", "1", "--images", f"people={images}"]
    assert main(["bench", "--json", *arguments]) == 0
    output = capsys.readouterr()
    figures = json.loads(output.out.splitlines()[-1])
    assert set(figures["compared"]) == {"frame", "no_face", "detect", "detect_blank"}
    ours = figures["compared"]["frame"]["gatehouse"]["ms"]
    assert figures["ratio_face_recognition"] == pytest.approx(1e6 / ours, rel=0.01)
    ours = figures["compared"]["detect"]["gatehouse"]["ms"]
    assert figures["ratio_facenet_pytorch_detect"] == pytest.approx(1e6 / ours, rel=0.01)
    assert figures["recall"] == {"people": 1.0}
    assert figures["recall_peers"] == {
        "face_recognition": {"people": 1.0},
        "facenet_pytorch": {"people": 1.0},
    }
    assert figures["peer_versions"] == {"face_recognition": "1.0", "facenet_pytorch": "1.0"}
    assert figures["frame_ms"] > 0
    assert "people (1)" in output.err
    assert output.out.count("\n") == 1


def test_without_folders_the_sample_portraits_are_searched(
    capsys: pytest.CaptureFixture[str], peers: Path
) -> None:
    assert main(["bench", "--peers", "--rounds", "1"]) == 0
    output = capsys.readouterr().out
    assert "portraits (7)" in output
    assert "JPEG to embeddings, one face" in output


def test_a_peer_that_crashes_is_an_error_and_no_traceback(
    capsys: pytest.CaptureFixture[str], peers: Path
) -> None:
    write_program(peers, "raise SystemExit('nothing works here')\n")
    assert main(["bench", "--peers", "--rounds", "1"]) == 1
    error = capsys.readouterr().err
    assert "error: face_recognition ended with status 1: nothing works here" in error
    assert f"remove {peers.parent.parent} and try again" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "somewhere"], "give --peers with them"),
        (["--clips", "somewhere"], "give --peers with them"),
        (["--peers", "--device", "cuda"], "on one core of the CPU"),
        (["--peers", "--threads", "2"], "on one core of the CPU"),
        (["--peers", "--images", "/nowhere"], "/nowhere has no images"),
    ],
)
def test_what_cannot_be_compared_is_told_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], peers: Path, arguments: list[str], message: str
) -> None:
    peers.unlink()
    assert main(["bench", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_two_folders_of_one_name_are_refused(
    capsys: pytest.CaptureFixture[str], peers: Path, tmp_path: Path, face_files: dict[str, Path]
) -> None:
    for place in ("first", "second"):
        (tmp_path / place / "images").mkdir(parents=True)
        picture = tmp_path / place / "images" / "a.png"
        picture.write_bytes(face_files["astronaut.png"].read_bytes())
    folders = [f"--images={tmp_path / place / 'images'}" for place in ("first", "second")]
    assert main(["bench", "--peers", *folders]) == 1
    assert "name them apart" in capsys.readouterr().err
