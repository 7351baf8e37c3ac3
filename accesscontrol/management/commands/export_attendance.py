"""manage.py export_attendance: the same export as the admin's."""

from __future__ import annotations

import os
import sys
import tempfile
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError

from accesscontrol.export import AttendanceQuery, ExportError, csv_chunks, write_xlsx
from accesscontrol.management.site_argument import add_site_argument, site_named


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"“{text}” is no date. Write it like 2026-11-30.") from None


class Command(BaseCommand):
    help = (
        "Writes a site's attendance log to stdout or a file. Days are those of the site's own "
        "clock, the first and the last included."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_site_argument(parser)
        parser.add_argument("--from", dest="first", type=day, required=True, metavar="DAY")
        parser.add_argument("--to", dest="last", type=day, required=True, metavar="DAY")
        parser.add_argument("--format", choices=["csv", "xlsx"], default="csv")
        parser.add_argument("--output", type=Path, metavar="FILE", help="instead of stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        site = site_named(options["site"])
        try:
            query = AttendanceQuery(site, options["first"], options["last"])
            if options["output"]:
                with _replacing(options["output"]) as file:
                    _write(query, options["format"], file)
            else:
                self._to_stdout(query, options["format"])
        except ExportError as error:
            raise CommandError(str(error)) from None

    def _to_stdout(self, query: AttendanceQuery, kind: str) -> None:
        binary = getattr(self.stdout, "buffer", None)
        if kind == "xlsx":
            if binary is None or sys.stdout.isatty():
                raise CommandError("A workbook is no text. Give a file with --output.")
            with tempfile.TemporaryFile() as file:  # a workbook needs a file that can be sought in
                _write(query, kind, file)
                file.seek(0)
                while block := file.read(1 << 16):
                    binary.write(block)
            return
        for chunk in csv_chunks(query):
            if binary is None:
                self.stdout.write(chunk.decode(), ending="")
            else:
                binary.write(chunk)


def _write(query: AttendanceQuery, kind: str, file: IO[bytes]) -> None:
    if kind == "xlsx":
        write_xlsx(query, file)
    else:
        for chunk in csv_chunks(query):
            file.write(chunk)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` when it is complete, and not before."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise CommandError(f"Cannot write {path}: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
