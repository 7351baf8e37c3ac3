"""Searches one site's templates with numpy or faiss, on one thread, as a process of its own.

Runs under any Python that has numpy; speaks JSON lines. First line out: which systems there are.
In: {"load": FILE}, a float32 array (N, D) as .npy; then {"search": [D numbers], "with": SYSTEM}.
Out: {"ms", "row"}: the time of the search alone, and the row of the largest inner product.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

try:
    import faiss
except ImportError:
    faiss = None


def main() -> None:
    """Answer until the input ends."""
    systems = {"numpy": np.__version__}
    if faiss is not None:
        faiss.omp_set_num_threads(1)
        systems["faiss"] = faiss.__version__
    answer(systems)
    search: dict[str, Callable[[Any], int]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "load" in request:
            search = load(request["load"])
            answer({"loaded": sorted(search)})
            continue
        probe = np.array(request["search"], np.float32)
        begun = time.perf_counter()
        row = search[request["with"]](probe)
        answer({"ms": 1000 * (time.perf_counter() - begun), "row": row})


def load(path: str) -> dict[str, Callable[[Any], int]]:
    """The searches of this site's templates, by system."""
    templates = np.load(path)
    found: dict[str, Callable[[Any], int]] = {
        "numpy": lambda probe: int(np.argmax(templates @ probe))
    }
    if faiss is not None:
        index = faiss.IndexFlatIP(templates.shape[1])
        index.add(templates)
        found["faiss"] = lambda probe: int(index.search(probe[None], 1)[1][0, 0])
    return found


def answer(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
