"""A peer's program that misbehaves gives a clear error that names the peer, and is ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recognition.bench.contest import Candidate
from recognition.bench.frames import BenchError
from recognition.bench.peer_process import PROGRAM, PeerProcess, start

HELLO = 'print(json.dumps({"peer": "tester", "versions": {"tester": "1"}}), flush=True)'
RUN = {"ms": 2.5, "cpu_ms": 2, "faces": 1, "boxes": [[1, 2, 3, 4]]}


def command(*lines: str) -> list[str]:
    return [sys.executable, "-I", "-c", "\n".join(["import json, sys, time", *lines])]


def answering(answer: object) -> list[str]:
    """A program that gives the same answer to each request."""
    return command(HELLO, "for line in sys.stdin:", f"    print({answer!r}, flush=True)")


def image() -> Candidate:
    return Candidate(np.zeros((480, 640, 3), dtype=np.uint8), b"a JPEG file")


def test_a_peer_tells_its_versions_and_its_answers_are_read() -> None:
    with PeerProcess(
        "tester", answering('{"ms": 2.5, "cpu_ms": 2, "faces": 1, "boxes": []}')
    ) as peer:
        assert peer.versions == {"tester": "1"}
        peer.keep("first", image())
        run = peer.run("detect", "first")
        assert (run.ms, run.cpu_ms, run.faces, run.boxes) == (2.5, 2, 1, ())


def test_a_peer_gets_pixels_and_file_of_an_image() -> None:
    echo = command(
        "import base64",
        HELLO,
        "kept = json.loads(sys.stdin.readline())",
        'size = len(base64.b64decode(kept["pixels"])), base64.b64decode(kept["jpeg"])',
        'assert size == (640 * 480 * 3, b"a JPEG file") and kept["shape"] == [480, 640]',
        'print("{}", flush=True)',
    )
    with PeerProcess("tester", echo) as peer:
        peer.keep("first", image())


def test_a_program_that_cannot_be_started_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="tester cannot be started"):
        PeerProcess("tester", [str(tmp_path / "nothing")])


def test_a_peer_that_fails_at_the_start_is_told_with_its_last_words() -> None:
    with pytest.raises(
        BenchError, match=r"tester ended with status 1: .*No module named 'nowhere'"
    ):
        PeerProcess("tester", command("import nowhere"))


def test_a_peer_that_crashes_later_is_told_with_its_last_words() -> None:
    crashing = command(HELLO, "sys.stdin.readline()", 'raise RuntimeError("out of luck")')
    with (
        PeerProcess("tester", crashing) as peer,
        pytest.raises(BenchError, match="tester ended with status 1: RuntimeError: out of luck"),
    ):
        peer.keep("first", image())


def test_a_peer_that_is_gone_before_it_reads_is_told() -> None:
    with PeerProcess("tester", command(HELLO)) as peer:
        with pytest.raises(BenchError, match="tester ended with status 0: it said nothing"):
            peer.keep("first", image())
        with pytest.raises(BenchError, match="tester ended"):
            peer.run("detect", "first")


def test_a_peer_that_hangs_is_ended() -> None:
    hanging = command(HELLO, "time.sleep(600)")
    with (
        PeerProcess("tester", hanging, patience=1) as peer,
        pytest.raises(BenchError, match="tester gave no answer within 1 second"),
    ):
        peer.run("detect", "first")


@pytest.mark.parametrize("rubbish", ["rubbish", "[1, 2]", "\x00\xff", "17", ""])
def test_what_is_no_json_object_is_told(rubbish: str) -> None:
    with (
        PeerProcess("tester", answering(rubbish)) as peer,
        pytest.raises(BenchError, match="tester answered no JSON object"),
    ):
        peer.run("detect", "first")


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        '{"ms": "soon", "cpu_ms": 2, "faces": 1, "boxes": []}',
        '{"ms": 2, "cpu_ms": 2, "faces": null, "boxes": []}',
        '{"ms": 2, "cpu_ms": 2, "faces": 1, "boxes": [[1, 2, 3]]}',
        '{"ms": 2, "cpu_ms": 2, "faces": 1, "boxes": 4}',
    ],
)
def test_an_answer_without_the_figures_is_told(answer: str) -> None:
    with (
        PeerProcess("tester", answering(answer)) as peer,
        pytest.raises(BenchError, match="tester answered something else"),
    ):
        peer.run("detect", "first")


def test_another_program_than_expected_is_told() -> None:
    with pytest.raises(BenchError, match="other is not what answered"):
        PeerProcess("other", answering("{}"))


def test_a_peer_ends_with_its_use() -> None:
    waiting = command(HELLO, "sys.stdin.read()")
    with PeerProcess("tester", waiting) as peer:
        process = peer._process
        assert process.poll() is None
    assert process.poll() == 0


def test_a_python_without_the_library_is_told_by_the_real_program() -> None:
    with pytest.raises(BenchError, match="face_recognition ended with status 1: ModuleNotFound"):
        start("face_recognition", Path(sys.executable))
    with pytest.raises(BenchError, match="facenet_pytorch ended with status 1: ModuleNotFound"):
        start("facenet_pytorch", Path(sys.executable))


def test_the_program_writes_only_answers_to_stdout() -> None:
    done = subprocess.run(
        [sys.executable, "-I", PROGRAM, "nobody"], capture_output=True, check=False, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "KeyError: 'nobody'" in done.stderr
