"""The command line of the recognition package, a module for each command.

Results go to stdout, progress and errors to stderr; with `--json` one object is the last line
on stdout (for `analyse`, one line for each image).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from recognition.bench import BenchError
from recognition.commands import (
    analyse,
    benchmark,
    cluster,
    evaluate,
    faiss_environment,
    fetch_faces,
    fetch_models,
    finetune,
    identify,
    import_model,
    train,
    verify,
)
from recognition.commands.terminal import say
from recognition.evaluate.datasets import DatasetError
from recognition.packages import FetchError
from recognition.training.config import TrainingError
from recognition.training.subjects import ConsentedSource
from recognition.weights import WeightsError

__all__ = ["main"]

FAILED = 1
INTERRUPTED = 130


def main(
    arguments: Sequence[str] | None = None,
    *,
    installation: Callable[[], ConsentedSource] | None = None,
) -> int:
    """Run one command; the exit status is 0 only if all of it was done.

    Args:
        installation: opens the installation's photos, which this part of the package cannot.
    """
    parser = argparse.ArgumentParser(prog="python -m recognition")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    modules = (fetch_models, import_model, fetch_faces, analyse, verify, identify, cluster)
    for module in (*modules, evaluate, benchmark, train, finetune, faiss_environment):
        module.add_to(commands)
    options = parser.parse_args(arguments)
    options.open_installation = installation
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (FetchError, WeightsError, DatasetError, BenchError, TrainingError, OSError) as error:
        say(f"error: {error}")
        return FAILED
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
