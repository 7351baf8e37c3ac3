"""Decodes the file named on the command line within the limits; prints what became of it.

One JSON object: `outcome`, a code of ImageError or OK, and `growth`, in megabytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image

from recognition.images import ImageError, decode
from tests.fuzz import limits


def main(path: str) -> None:
    data = Path(path).read_bytes()
    Image.init()  # loading the decoders is no part of decoding
    before = limits.peak_megabytes()
    limits.start_clock()
    try:
        decode(data)
        outcome = "OK"
    except ImageError as error:
        outcome = error.code
    limits.stop_clock()
    growth = limits.peak_megabytes() - before
    sys.stdout.write(json.dumps({"outcome": outcome, "growth": growth}))


if __name__ == "__main__":
    main(sys.argv[1])
