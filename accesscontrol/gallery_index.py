"""Approximate indexes of large galleries: built, checked against the exact search, given up.

Below INDEX_FROM templates every search is exact. From there on a gallery gets an HNSW of its own
(Malkov and Yashunin, 2016), which searches go by only while it finds whom the exact search finds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from django.db import connection, transaction
from django.utils import timezone
from numpy.typing import NDArray
from pgvector import HalfVector

from accesscontrol import audit
from accesscontrol.models import GalleryIndex, ModelVersion, Site

INDEX_FROM = 25_000
"""Templates of one gallery. Below it the exact search takes a few milliseconds."""
KEPT_FROM = 20_000
"""An index is kept down to here, so that one leaver does not drop what one joiner builds."""
LOWEST_RECALL = 0.999
PROBES = 1_000
MATCH = 0.6
"""Cosine of the probes with the templates they are made from: a poor picture of that person."""
NEAR = 0.15
"""A runner-up this close to the best must be found, too: it may make a decision ambiguous."""
EF_SEARCH = (200, 280, 400, 560, 800)
"""Entries that a search keeps in view; the fewest that reach LOWEST_RECALL are taken."""
BATCH = 20
BUILD_MEMORY = "256MB"
ONE_AT_A_TIME = 0x6A11E21E
"""Key of the advisory lock that whoever tends indexes holds."""

Vectors = NDArray[np.float32]
_Found = dict[int, list[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class Gallery:
    """The templates that one site's probes are compared with."""

    site: Site
    version: ModelVersion
    rotation_id: str

    @property
    def index_name(self) -> str:
        return f"gallery_{self.site.pk}_{self.version.pk}_{self.rotation_id}_hnsw"

    @property
    def table(self) -> str:
        return f"accesscontrol_gallery_{self.site.pk}"

    def index(self) -> GalleryIndex | None:
        return GalleryIndex.objects.filter(
            site=self.site, model_version=self.version, rotation_id=self.rotation_id
        ).first()


@dataclass(frozen=True, slots=True)
class Recall:
    """How the search by the index compares with the exact one; times are means of one probe."""

    recall: float
    probes: int
    exact_ms: float
    index_ms: float


def count(gallery: Gallery) -> tuple[int, int]:
    """People and templates that a search goes through."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT employee_id), count(*) FROM accesscontrol_gallery"
            " WHERE site_id = %s AND model_version_id = %s AND rotation_id = %s",
            [gallery.site.pk, gallery.version.pk, gallery.rotation_id],
        )
        people, templates = cursor.fetchone()
    return int(people), int(templates)


def differences(site: Site) -> tuple[int, int]:
    """How many entries a site's gallery lacks, and how many it has too many or changed.

    Of every model version and rotation. Both are 0 unless somebody wrote past the triggers.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE entry.template_id IS NULL),"
            " count(*) FILTER (WHERE due.template_id IS NULL"
            "  OR due.embedding <> entry.embedding"
            "  OR due.model_version_id <> entry.model_version_id"
            "  OR due.rotation_id <> entry.rotation_id)"
            " FROM (SELECT * FROM accesscontrol_gallery_due WHERE site_id = %s) AS due"
            " FULL JOIN (SELECT * FROM accesscontrol_gallery WHERE site_id = %s) AS entry"
            " USING (employee_id, template_id)",
            [site.pk, site.pk],
        )
        missing, surplus = cursor.fetchone()
    return int(missing), int(surplus)


def build(gallery: Gallery) -> GalleryIndex:
    """Build the index, beside searches and enrolments, and register it; it is not in use yet.

    Outside a transaction. One that is there is built anew.
    """
    _drop(gallery)
    with connection.cursor() as cursor:
        cursor.execute(f"SET maintenance_work_mem = '{BUILD_MEMORY}'")
        # One core: the others are recognition's.
        cursor.execute("SET max_parallel_maintenance_workers = 0")
        try:
            cursor.execute(
                f'CREATE INDEX CONCURRENTLY "{gallery.index_name}" ON {gallery.table} USING hnsw'
                f" ((embedding::halfvec({gallery.version.dimension})) halfvec_ip_ops)"
                " WITH (m = 24, ef_construction = 300)"
                " WHERE model_version_id = %s AND rotation_id = %s",
                [gallery.version.pk, gallery.rotation_id],
            )
        finally:
            cursor.execute("RESET maintenance_work_mem")
            cursor.execute("RESET max_parallel_maintenance_workers")
    return GalleryIndex.objects.create(
        site=gallery.site,
        model_version=gallery.version,
        rotation_id=gallery.rotation_id,
        templates=count(gallery)[1],
    )


def give_up(gallery: Gallery) -> None:
    """Search exactly from now on, and remove the index. Outside a transaction."""
    index = gallery.index()
    if index is not None and index.in_use:
        judge(index, None)
    _drop(gallery)


def _drop(gallery: Gallery) -> None:
    GalleryIndex.objects.filter(
        site=gallery.site, model_version=gallery.version, rotation_id=gallery.rotation_id
    ).delete()
    with connection.cursor() as cursor:
        cursor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{gallery.index_name}"')


@transaction.atomic
def judge(index: GalleryIndex, measured: Recall | None) -> bool:
    """Let searches go by the index from this commit on, or no more: as the recall says.

    Without a recall no more. Returns whether they may.
    """
    index = GalleryIndex.objects.select_for_update().get(pk=index.pk)
    before = index.in_use
    index.in_use = measured is not None and measured.recall >= LOWEST_RECALL
    if measured is not None:
        index.recall, index.probes = measured.recall, measured.probes
        index.checked_at = timezone.now()
    index.save()
    if index.in_use != before:
        audit.record(
            "worker",
            "use_gallery_index" if index.in_use else "search_gallery_exactly",
            f"site:{index.site_id}",
            {"model_version": index.model_version_id, "recall": index.recall},
        )
    return index.in_use


def measure(gallery: Gallery, *, probes: int = PROBES, seed: int | None = None) -> Recall:
    """Compare the search by the index with the exact one, on the gallery as it is.

    A probe is a template of the gallery turned in a random direction to a cosine of MATCH. It
    counts as found if both searches name the same person first, and the same second wherever the
    exact search finds one within NEAR. Both see the gallery at one moment. Outside a transaction.
    """
    dice = np.random.default_rng(seed)
    vectors = _turned(_sample(gallery, probes), dice)
    found, taken = 0, {False: 0.0, True: 0.0}
    for start in range(0, len(vectors), BATCH):
        batch = vectors[start : start + BATCH]
        answers: dict[bool, _Found] = {}
        with _one_moment():
            for by_index in (False, True):
                begun = time.perf_counter()
                answers[by_index] = _search(gallery, batch, by_index=by_index)
                taken[by_index] += time.perf_counter() - begun
        found += sum(
            _agree(answers[False].get(number, []), answers[True].get(number, []))
            for number in range(1, len(batch) + 1)
        )
    of = max(len(vectors), 1)
    recall = found / of if len(vectors) else 0.0
    return Recall(recall, len(vectors), 1000 * taken[False] / of, 1000 * taken[True] / of)


def _agree(exact: Sequence[tuple[int, float]], indexed: Sequence[tuple[int, float]]) -> bool:
    if not exact or not indexed or exact[0][0] != indexed[0][0]:
        return False
    if len(exact) < 2 or exact[1][1] < exact[0][1] - NEAR:
        return True
    return len(indexed) > 1 and exact[1][0] == indexed[1][0]


def _sample(gallery: Gallery, number: int) -> Vectors:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT embedding::real[] FROM accesscontrol_gallery"
            " WHERE site_id = %s AND model_version_id = %s AND rotation_id = %s"
            " ORDER BY random() LIMIT %s",
            [gallery.site.pk, gallery.version.pk, gallery.rotation_id, number],
        )
        rows = [row for (row,) in cursor.fetchall()]
    return np.array(rows, np.float32).reshape(len(rows), gallery.version.dimension)


def _turned(templates: Vectors, dice: np.random.Generator) -> Vectors:
    """Unit vectors (N, D), each with a cosine of MATCH with its template."""
    across = dice.standard_normal(templates.shape).astype(np.float32)
    across -= (across * templates).sum(1, keepdims=True) * templates
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    turned: Vectors = (MATCH * templates + np.sqrt(1 - MATCH**2) * across).astype(np.float32)
    return turned


def _search(gallery: Gallery, vectors: Vectors, *, by_index: bool) -> _Found:
    found: _Found = {}
    texts = [HalfVector(vector).to_text() for vector in vectors]
    sites = [gallery.site.pk] * len(vectors)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, employee_id, score FROM accesscontrol_nearest("
            "%s::bigint[], %s::text[]::halfvec[], %s, %s, 2, %s) ORDER BY number, score DESC",
            [sites, texts, gallery.version.pk, gallery.rotation_id, by_index],
        )
        for number, employee_id, score in cursor.fetchall():
            found.setdefault(number, []).append((employee_id, score))
    return found


@contextmanager
def _one_moment() -> Iterator[None]:
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@contextmanager
def tending() -> Iterator[bool]:
    """Whether this is the only one that tends indexes now; they are built by one at a time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ONE_AT_A_TIME])
        (alone,) = cursor.fetchone()
        try:
            yield bool(alone)
        finally:
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [ONE_AT_A_TIME])


def tend(gallery: Gallery, *, probes: int = PROBES) -> Recall | None:
    """Bring a gallery's index to what its size asks for, and check it; None where there is none.

    One that falls below LOWEST_RECALL is given up for the exact search at once, comes back with
    more in view if that is enough, and is built anew otherwise.
    """
    _, templates = count(gallery)
    index = gallery.index()
    if templates < (INDEX_FROM if index is None else KEPT_FROM):
        give_up(gallery)
        return None
    if index is not None:
        measured = _reach(gallery, index, probes)
        if measured.recall >= LOWEST_RECALL:
            return measured
    return _reach(gallery, build(gallery), probes)


def _reach(gallery: Gallery, index: GalleryIndex, probes: int) -> Recall:
    """Judge the index with ever more in view until it may be used; the last measurement."""
    measured = Recall(0.0, 0, 0.0, 0.0)
    for ef_search in EF_SEARCH:
        if ef_search < index.ef_search:
            continue
        GalleryIndex.objects.filter(pk=index.pk).update(ef_search=ef_search)
        measured = measure(gallery, probes=probes)
        if judge(index, measured):
            break
    return measured


def outdated(versions: Sequence[ModelVersion], rotation_id: str) -> list[Gallery]:
    """Galleries with an index that are searched no more: of other models or rotations."""
    others = GalleryIndex.objects.exclude(model_version__in=versions, rotation_id=rotation_id)
    return [
        Gallery(index.site, index.model_version, index.rotation_id)
        for index in others.select_related("site", "model_version")
    ]
