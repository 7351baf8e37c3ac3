"""`cluster`: the faces in pictures, grouped by person."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from accesscontrol.score_tail import Calibration, fit
from recognition.clustering import NOBODY, Labels, ScoreAt, group, link_score, middles
from recognition.commands.calibrated import shipped
from recognition.commands.contact_sheet import SeenFace, write_contact_sheet
from recognition.commands.pictures import box, image_files, look, quality, tell_failures
from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    load_pipeline,
    positive,
    say,
    show,
    show_json,
    show_progress,
)
from recognition.evaluate.datasets import DatasetError
from recognition.pipeline import Pipeline
from recognition.portraits import ADVICE, Flaw, flaw_of, sure_faces
from recognition.search import Vectors, blocks
from recognition.types import Face


@dataclass(slots=True, eq=False)
class _Album:
    """The faces found, with the file of each; and the files, or faces, that are not compared."""

    files: list[Path] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    failed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Grouped:
    """labels (N,) and likeness (N,): to the middle of the own group, or to the nearest face."""

    labels: Labels
    likeness: Vectors
    link: float | None


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "cluster",
        help="group the faces in pictures by person",
        description="The faces in pictures, grouped by person. Without --people two faces are "
        "linked if they are as alike as two strangers among so many hardly ever are. Faces too "
        "small or too poor for an enrolment photo are left out. Nothing is written beside the "
        "pictures.",
    )
    parser.add_argument(
        "pictures", nargs="+", type=Path, metavar="DIR_OR_IMAGE", help="folders, or image files"
    )
    parser.add_argument(
        "--people", type=positive, metavar="N", help="how many there are, where that is known"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write report.html, with the faces, there"
    )
    add_pipeline_options(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    if options.report:
        _refuse_sources(options.report, options.pictures)
    files = image_files(options.pictures)
    pipeline = load_pipeline(options)
    score_at = None if options.people else _score_at(pipeline)
    album = _album(pipeline, files, options.smallest_face)
    found = _group(album, score_at, options.people, pipeline.model.dimension)
    figures = _head(album, found, len(files)) | {
        "model": f"{pipeline.model.name} {pipeline.model.version}"
    }
    if options.report:
        title = f"{figures['people']} people in {len(files)} pictures"
        page = write_contact_sheet(options.report, title, figures, _sheet(album, found))
        say(f"report in {page}")
    if options.json:
        show_json(figures | _as_dict(album, found))
    else:
        show(_as_text(album, found, figures))
    return tell_failures(album.failed, len(files))


def _refuse_sources(report: Path, pictures: Sequence[Path]) -> None:
    """Raises DatasetError for a report in, or below, a folder whose pictures are read."""
    target = report.resolve()
    for path in pictures:
        folder = path.resolve() if path.is_dir() else path.resolve().parent
        if target == folder or folder in target.parents:
            raise DatasetError(f"{report} lies in {folder}, whose pictures are read. Name another.")


def _score_at(pipeline: Pipeline) -> ScoreAt:
    """How alike two people are, as the model's calibration says."""
    return partial(fit(None, Calibration.read(shipped(pipeline))).score_at, bound=False)


def _album(pipeline: Pipeline, files: Sequence[Path], smallest_face: int) -> _Album:
    album = _Album()
    for done, (path, result) in enumerate(look(pipeline, files, smallest_face), 1):
        faces = sure_faces(result)
        album.failed += result.error is not None
        if not faces:
            album.left_out.append((path, result.error or ADVICE[Flaw.NO_FACE]))
        for face in faces:
            flaw = flaw_of(face)
            if flaw:
                album.left_out.append((path, ADVICE[flaw]))
            else:
                album.files.append(path)
                album.faces.append(face)
        show_progress(done, len(files))
    return album


def _group(album: _Album, score_at: ScoreAt | None, people: int | None, dimension: int) -> _Grouped:
    vectors = np.zeros((len(album.faces), dimension), np.float32)
    for row, face in enumerate(album.faces):
        vectors[row] = face.embedding
    labels = group(vectors, score_at, people)
    centres = middles(vectors, labels)
    likeness = _to_nearest(vectors)
    inside = labels != NOBODY
    likeness[inside] = (vectors[inside] * centres[labels[inside]]).sum(axis=1)
    return _Grouped(labels, likeness, link_score(score_at, len(vectors)) if score_at else None)


def _to_nearest(vectors: Vectors) -> Vectors:
    """(N,) the cosine of each with the nearest other; -1 where there is none."""
    nearest = np.full(len(vectors), -1, np.float32)
    for start, scores in blocks(vectors, vectors):
        rows = np.arange(len(scores))
        scores[rows, start + rows] = -1
        nearest[start : start + len(scores)] = scores.max(axis=1)
    return nearest


def _head(album: _Album, found: _Grouped, pictures: int) -> dict[str, object]:
    return {
        "pictures": pictures,
        "faces": len(album.faces),
        "people": int(found.labels.max(initial=NOBODY)) + 1,
        "faces_alone": int((found.labels == NOBODY).sum()),
        "faces_and_pictures_left_out": len(album.left_out),
        "link": None if found.link is None else round(found.link, 4),
    }


def _rows(found: _Grouped) -> list[list[int]]:
    """The faces of each group, the most typical first; groups as they are numbered."""
    order = np.argsort(-found.likeness, kind="stable")
    return [
        order[found.labels[order] == label].tolist()
        for label in range(int(found.labels.max(initial=NOBODY)) + 1)
    ]


def _alone(found: _Grouped) -> list[int]:
    rows: list[int] = np.flatnonzero(found.labels == NOBODY).tolist()
    return rows


def _as_dict(album: _Album, found: _Grouped) -> dict[str, object]:
    def face(row: int) -> dict[str, Any]:
        one = album.faces[row]
        return {
            "file": str(album.files[row]),
            "box": box(one),
            "quality": quality(one),
            "likeness": round(float(found.likeness[row]), 5),
        }

    return {
        "groups": [[face(row) for row in rows] for rows in _rows(found)],
        "alone": [face(row) for row in _alone(found)],
        "left_out": [{"file": str(path), "reason": reason} for path, reason in album.left_out],
    }


def _sheet(album: _Album, found: _Grouped) -> list[tuple[str, list[SeenFace]]]:
    def seen(rows: Sequence[int]) -> list[SeenFace]:
        return [
            SeenFace(album.files[row], album.faces[row].box, float(found.likeness[row]))
            for row in rows
        ]

    groups = [
        (f"Person {number}: {len(rows)} faces, by likeness to their middle", seen(rows))
        for number, rows in enumerate(_rows(found), 1)
    ]
    alone = _alone(found)
    return [*groups, (f"Alone: {len(alone)} faces, by likeness to the nearest other", seen(alone))]


def _as_text(album: _Album, found: _Grouped, figures: Mapping[str, object]) -> str:
    head = f"{figures['people']} people in {figures['faces']} faces of {figures['pictures']}"
    lines = [f"{head} pictures, {figures['faces_alone']} faces alone"]
    for number, rows in enumerate(_rows(found), 1):
        lines.append(f"person {number}: {len(rows)} faces")
        lines += [f"  {found.likeness[row]:.3f} {album.files[row]}" for row in rows]
    if _alone(found):
        lines.append("alone:")
        lines += [f"  {found.likeness[row]:.3f} {album.files[row]}" for row in _alone(found)]
    if album.left_out:
        lines.append("left out:")
        lines += [f"  {path}: {reason}" for path, reason in album.left_out]
    return "\n".join(lines)
