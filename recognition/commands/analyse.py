"""`analyse`: find and embed the faces of images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from recognition.commands.pictures import look, tell_failures
from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    load_pipeline,
    show,
    show_json,
)
from recognition.types import Face, FrameResult


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("analyse", help="find and embed the faces of pictures")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--json", action="store_true", help="one JSON line for each image")
    add_pipeline_options(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    pipeline = load_pipeline(options)
    failed = 0
    for path, result in look(pipeline, options.images, options.smallest_face, with_pad=True):
        failed += result.error is not None
        if options.json:
            show_json(as_dict(path, result))
        else:
            show(_as_text(path, result))
    return tell_failures(failed, len(options.images))


def as_dict(path: Path, result: FrameResult) -> dict[str, Any]:
    """The line of `analyse --json` for one image."""
    return {
        "file": str(path),
        "width": result.width,
        "height": result.height,
        "faces": [_face_dict(face) for face in result.faces],
        "error": result.error,
    }


def _face_dict(face: Face) -> dict[str, Any]:
    return {
        "box": face.box.tolist(),
        "points": face.points.tolist(),
        "score": face.score,
        "quality": face.quality.to_dict() if face.quality else None,
        "pad": face.pad,
        "embedding": face.embedding.tolist() if face.embedding is not None else None,
    }


def _as_text(path: Path, result: FrameResult) -> str:
    if result.error is not None:
        return f"{path}: {result.error}"
    lines = [f"{path}: {result.width}x{result.height}, {len(result.faces)} face(s)"]
    for face in result.faces:
        box = ", ".join(f"{side:.0f}" for side in face.box)
        quality = f"{face.quality.score:.2f}" if face.quality else "-"
        if face.quality and face.quality.shortfall:
            quality += f" {face.quality.shortfall}"
        pad = f"{face.pad:.2f}" if face.pad is not None else "-"
        lines.append(f"  [{box}] score {face.score:.3f}, quality {quality}, attack {pad}")
    return "\n".join(lines)
