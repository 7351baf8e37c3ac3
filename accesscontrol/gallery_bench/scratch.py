"""A database made for one run: migrated, filled with made-up people, dropped at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.management import call_command
from django.db import connections

from accesscontrol.gallery_bench.crowd import Crowd, Faces
from accesscontrol.models import ModelVersion, Site

ROTATION = "bench"
PEOPLE_A_SITE = 1_000_000
"""Employees of site n have the numbers from n times this on."""


@contextmanager
def scratch_database() -> Iterator[str]:
    """Let Django use a fresh, migrated database meanwhile; yields its name.

    It is dropped however the run ends, but for a killed process.
    """
    connection = connections["default"]
    name, own = f"gatehouse_bench_{os.getpid()}", connection.settings_dict["NAME"]
    _execute(f'CREATE DATABASE "{name}"')
    try:
        _use(name)
        call_command("migrate", verbosity=0)
        yield name
    finally:
        _use(own)
        _execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(statement: str) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute(statement)


def _use(name: str) -> None:
    connection: Any = connections["default"]
    connection.close()
    connection.close_pool()
    connection.settings_dict["NAME"] = name


@dataclass(frozen=True, slots=True)
class Filled:
    """The galleries of a run: the number of templates at each site, by the site's number."""

    version: ModelVersion
    crowd: Crowd
    sizes: dict[int, int]

    def faces(self, site: int) -> Faces:
        """Made anew, so that a million vectors need not be kept."""
        return self.crowd.site(site, self.sizes[site])

    def person(self, site: int, row: int) -> int:
        """The employee that a row of the site's people is."""
        return site * PEOPLE_A_SITE + row


def new_version(dimension: int) -> ModelVersion:
    version, _ = ModelVersion.objects.get_or_create(
        sha256="0" * 64,
        defaults={
            "name": "bench",
            "version": "1",
            "dimension": dimension,
            "licence": "none",
            "is_active": True,
        },
    )
    return version


def add_sites(filled: Filled, templates: int, sites: int) -> None:
    """Add sites that share the templates evenly."""
    for number in range(sites):
        size = templates * (number + 1) // sites - templates * number // sites
        site = Site.objects.create(name=f"Bench {len(filled.sizes)}", slug=f"b{len(filled.sizes)}")
        filled.sizes[site.pk] = size
        _copy(filled, site.pk)
    _execute("VACUUM (ANALYZE) accesscontrol_gallery")
    _execute("VACUUM (ANALYZE) accesscontrol_employee")


def _copy(filled: Filled, site: int) -> None:
    """Employees and gallery entries of a site, past the triggers; there are no photos to them."""
    faces = filled.faces(site)
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO accesscontrol_employee (id, site_id, number, name, is_active, created_at)"
            " SELECT %s + row, %s, row, 'Bench ' || row, true, now()"
            " FROM generate_series(0, %s) AS row",
            [filled.person(site, 0), site, len(faces.people) - 1],
        )
        columns = "site_id, employee_id, template_id, model_version_id, rotation_id, embedding"
        with cursor.copy(
            f"COPY accesscontrol_gallery_{site} ({columns}) FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            copy.write(_rows(filled, site, faces))
            copy.write(b"\xff\xff")


def _rows(filled: Filled, site: int, faces: Faces) -> bytes:
    """In PostgreSQL's binary format for COPY, each value after its length."""
    number, dimension = faces.templates.shape
    keys = ("site", "employee", "template", "version")
    fields: list[Any] = [("fields", ">i2")]
    for key in keys:
        fields += [(f"{key}_length", ">i4"), (key, ">i8")]
    fields += [("rotation_length", ">i4"), ("rotation", f"S{len(ROTATION)}")]
    fields += [("vector_length", ">i4"), ("dimension", ">i2"), ("unused", ">i2")]
    fields += [("vector", ">f2", (dimension,))]
    rows = np.zeros(number, np.dtype(fields))
    values = (site, filled.person(site, 0) + faces.of, np.arange(number), filled.version.pk)
    for key, value in zip(keys, values, strict=True):
        rows[f"{key}_length"], rows[key] = 8, value
    rows["fields"], rows["dimension"], rows["vector"] = 6, dimension, faces.templates
    rows["rotation_length"], rows["rotation"] = len(ROTATION), ROTATION.encode()
    rows["vector_length"] = 4 + 2 * dimension
    return rows.tobytes()
