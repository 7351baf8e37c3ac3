"""`python -m tests.fuzz`: feed mutated files to the decoder and messages to the stream.

The exit status is 0 only if no input crashed, took longer than 2 s, swelled by more than 64 MB or
raised what it should not. Progress and defects go to stderr, one JSON object of counts to stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2
import PIL

from kiosk.bench import machine
from tests.fuzz.supervisor import OUTCOMES, Report, fuzz, save_input
from tests.fuzz.targets import TARGETS


def say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", choices=TARGETS, action="append", help="both by default")
    parser.add_argument("--inputs", type=int, default=100_000, help="for each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the inputs (%(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write defects' inputs there")
    options = parser.parse_args()
    result: dict[str, object] = {
        "machine": machine(),
        "pillow": PIL.__version__,
        "opencv": cv2.__version__,
        "seed": options.seed,
    }
    failed = False
    for target in options.target or TARGETS:
        say(f"{target}: {options.inputs} inputs")
        report = fuzz(target, options.inputs, options.seed, lambda done: say(str(done)))
        tell_defects(target, report, options)
        result[target] = {name: report.counts[name] for name in OUTCOMES}
        failed = failed or bool(report.defects)
    sys.stdout.write(json.dumps(result) + "\n")
    return int(failed)


def tell_defects(target: str, report: Report, options: argparse.Namespace) -> None:
    for number, what in report.defects:
        say(f"{target}, seed {options.seed}, input {number}: {what}")
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            save_input(target, options.seed, number, options.keep)


if __name__ == "__main__":
    raise SystemExit(main())
