"""The table for people: a row for each comparison, and what was not compared says so."""

from __future__ import annotations

from recognition.bench.peer_table import table


def both(ours: float, peer: str, theirs: float) -> dict[str, dict[str, float]]:
    return {"gatehouse": {"ms": ours}, peer: {"ms": theirs}}


def test_a_row_for_each_comparison_and_each_data_set() -> None:
    figures = {
        "compared": {
            "frame": both(20, "face_recognition", 250),
            "no_face": both(5, "face_recognition", 150),
            "detect": both(10, "facenet_pytorch", 75),
            "detect_blank": both(8, "facenet_pytorch", 24),
        },
        "recall": {"portraits": 1.0},
        "recall_peers": {
            "face_recognition": {"portraits": 0.5},
            "facenet_pytorch": {"portraits": 0},
        },
        "recall_images": {"portraits": 7},
    }
    lines = table(figures).splitlines()
    assert len(lines) == 7
    assert lines[0].split()[-6:] == [
        "gatehouse", "face_recognition", "facenet_pytorch", "times", "as", "fast",
    ]  # fmt: skip
    rows = [line.split() for line in lines[1:]]
    assert rows[0][-4:] == ["20.0", "250.0", "-", "12.5"]
    assert rows[1][-4:] == ["5.0", "150.0", "-", "30.0"]
    assert rows[2][-4:] == ["10.0", "-", "75.0", "7.5"]
    assert rows[3][-4:] == ["8.0", "-", "24.0", "3.0"]
    assert rows[5] == ["portraits", "(7)", "100.0", "%", "50.0", "%", "0.0", "%"]
