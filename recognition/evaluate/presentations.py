"""Presentations: whether every person before a kiosk gets one decision, on their own evidence.

Scenes are composed of clips (`composed`), recognised, tracked and decided by the code of the
door: `tracking`, and the rule of `assurance` for when a match has been seen long enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from uuid import UUID

import numpy as np

from accesscontrol.assurance import Assurance
from recognition.evaluate.composed import FRAMES_PER_S, Composed, ComposedFrame, Standing
from recognition.pipeline import Pipeline
from recognition.placing import Likeness
from recognition.search import Gallery
from recognition.tracking import Moment, Presentation, Sighting, follow
from recognition.types import Floats, FrameResult

LOWEST_DETECTION_SCORE = 0.95
"""As at the door."""
BATCH = 8
_FRAME_MS = 1000 // FRAMES_PER_S
_BEGIN_MS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a presentation had shown after one of its faces."""

    probe: Floats
    frames: int
    good_frames: float
    elapsed_ms: int


@dataclass(slots=True, eq=False)
class Followed:
    """A presentation from its begin to its end, and whose faces it was given."""

    scene: Composed
    owners: Counter[str] = field(default_factory=Counter)
    singles: list[Floats] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def person(self) -> str:
        """Whose it is: of most of its faces."""
        return self.owners.most_common(1)[0][0]

    @property
    def is_mixed(self) -> bool:
        """Whether it has evidence of two people."""
        return len(self.owners) > 1


def look(pipeline: Pipeline, scene: Composed, *, smallest_face: int) -> list[list[_Seen]]:
    """Recognise a scene's frames: for each its faces, and whose they are."""
    frames = scene.frames()
    seen: list[list[_Seen]] = []
    while batch := list(islice(frames, BATCH)):
        pixels = [frame.pixels for frame in batch]
        results = pipeline.analyse_pixels(pixels, smallest_face=smallest_face)
        seen += [
            _sightings(frame, result, smallest_face)
            for frame, result in zip(batch, results, strict=True)
        ]
    return seen


_Seen = tuple[Sighting, str]


def _sightings(frame: ComposedFrame, result: FrameResult, smallest_face: int) -> list[_Seen]:
    seen = []
    for face in result.faces:
        width = float(face.box[2] - face.box[0])
        if face.score < LOWEST_DETECTION_SCORE or width < smallest_face or not frame.standing:
            continue
        assert face.embedding is not None  # noqa: S101  the pipeline was asked for it
        assert face.quality is not None  # noqa: S101
        sighting = Sighting(face.box, face.embedding, face.quality.score)
        seen.append((sighting, _owner(float(face.box[0] + face.box[2]) / 2, frame.standing)))
    return seen


def _owner(x: float, standing: Sequence[Standing]) -> str:
    """Who of those that can be seen stands nearest to this place."""
    visible = [person for person in standing if not person.covered]
    return min(visible, key=lambda person: abs(person.x - x)).person


def track(scene: Composed, seen: Sequence[Sequence[_Seen]], likeness: Likeness) -> list[Followed]:
    """Follow a scene's faces as a worker does."""
    present: list[Presentation] = []
    followed: dict[UUID, Followed] = {}
    for number, faces in enumerate(seen):
        at = _BEGIN_MS + number * _FRAME_MS
        sightings = [sighting for sighting, _ in faces]
        tracks = follow(present, sightings, Moment(number, at, at), likeness)
        present = tracks.present
        by_id = {presentation.id: presentation for presentation in present}
        for (sighting, owner), identity in zip(faces, tracks.seen, strict=True):
            if identity is None:
                continue
            one = followed.setdefault(identity, Followed(scene))
            one.owners[owner] += 1
            one.singles.append(sighting.embedding)
            one.steps.append(_step(by_id[identity]))
    return list(followed.values())


def _step(presentation: Presentation) -> Step:
    elapsed = presentation.received_ms - presentation.first_received_ms
    return Step(presentation.probe.copy(), presentation.frames, presentation.good_frames, elapsed)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a site asks for: cosines, as in its policy."""

    threshold: float
    margin: float
    assurance: Assurance


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a presentation: as whom it was accepted, None if refused, and with what."""

    accepted_as: str | None
    frames: int
    elapsed_ms: int


def decide(one: Followed, gallery: Gallery, ruling: Ruling, without: str | None = None) -> Verdict:
    """Accept with the first frame that allows it, else refuse when the person has left.

    `without` is left out of the gallery: then whoever is accepted is taken for another.
    """
    scores = _without(
        gallery.scores(np.stack([step.probe for step in one.steps])), gallery, without
    )
    for step, row in zip(one.steps, scores, strict=True):
        second, best = np.partition(row, -2)[-2:] if len(row) > 1 else (-1.0, row[0])
        lead = min(float(best) - ruling.threshold, float(best - second) - ruling.margin)
        if ruling.assurance.is_enough(lead, step.frames, step.good_frames):
            return Verdict(gallery.names[int(row.argmax())], step.frames, step.elapsed_ms)
    return Verdict(None, one.steps[-1].frames, one.steps[-1].elapsed_ms)


def _without(scores: Floats, gallery: Gallery, person: str | None) -> Floats:
    if person in gallery.names:
        scores = scores.copy()
        scores[:, gallery.names.index(person)] = -1
    return scores


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Shares of searches at a threshold that missed their person, or found another."""

    fnir: float
    fpir: float
    searches: int


def rates(followed: Sequence[Followed], gallery: Gallery, ruling: Ruling) -> dict[str, ErrorRates]:
    """Errors of single frames, of the mean over all frames, and of the rule, looking each time.

    Each is searched once with its person enrolled and once without.
    """
    single = np.concatenate([np.stack(one.singles) for one in followed])
    people = [one.person for one in followed for _ in one.singles]
    whole = np.stack([one.steps[-1].probe for one in followed])
    verdicts = [
        (one.person, decide(one, gallery, ruling), decide(one, gallery, ruling, one.person))
        for one in followed
    ]
    return {
        "single_frame": _rates(single, people, gallery, ruling.threshold),
        "all_frames": _rates(whole, [one.person for one in followed], gallery, ruling.threshold),
        "as_decided": ErrorRates(
            fnir=_share([verdict.accepted_as != person for person, verdict, _ in verdicts]),
            fpir=_share([verdict.accepted_as is not None for _, _, verdict in verdicts]),
            searches=len(verdicts),
        ),
    }


def _rates(probes: Floats, people: Sequence[str], gallery: Gallery, threshold: float) -> ErrorRates:
    scores = gallery.scores(probes)
    own = np.array([gallery.names.index(person) for person in people])
    rows = np.arange(len(own))
    found = (scores.argmax(axis=1) == own) & (scores[rows, own] >= threshold)
    scores[rows, own] = -1
    return ErrorRates(_share(~found), _share(scores.max(axis=1) >= threshold), len(own))


def _share(flags: Sequence[bool] | Floats) -> float:
    return float(np.mean(np.asarray(flags, dtype=float))) if len(flags) else 0.0


def tally(
    scenes: Sequence[Composed], followed: Sequence[Followed], verdicts: Sequence[Verdict]
) -> dict[str, dict[str, int]]:
    """For each kind of scene how many people got one decision, several or none, and which."""
    kinds: dict[str, Counter[str]] = {}
    for scene in scenes:
        counts = kinds.setdefault(scene.kind, Counter())
        mine = [pair for pair in zip(followed, verdicts, strict=True) if pair[0].scene is scene]
        counts["scenes"] += 1
        counts["swaps"] += sum(one.is_mixed for one, _ in mine)
        for clip in scene.clips:
            own = [verdict for one, verdict in mine if one.person == clip.person]
            counts["people"] += 1
            counts[("no_decision", "one_decision")[len(own)] if len(own) < 2 else "several"] += 1
            counts["accepted"] += any(verdict.accepted_as == clip.person for verdict in own)
            counts["accepted_as_another"] += sum(
                verdict.accepted_as not in (None, clip.person) for verdict in own
            )
    names = (
        "scenes", "people", "one_decision", "several", "no_decision", "accepted",
        "accepted_as_another", "swaps",
    )  # fmt: skip
    return {kind: {name: counts[name] for name in names} for kind, counts in kinds.items()}


def summarise(
    scenes: Sequence[Composed],
    followed: Sequence[Followed],
    gallery: Gallery,
    rulings: Mapping[str, Ruling],
    in_use: str,
) -> dict[str, object]:
    """The figures, ready for JSON. `rulings` by false match rate, `in_use` the one decided by."""
    ruling = rulings[in_use]
    verdicts = [decide(one, gallery, ruling) for one in followed]
    accepted = [verdict for verdict in verdicts if verdict.accepted_as is not None]
    kinds = tally(scenes, followed, verdicts)
    names = next(iter(kinds.values()))
    return {
        **{name: sum(counts[name] for counts in kinds.values()) for name in names},
        "gallery": len(gallery.names),
        "threshold": ruling.threshold,
        "frames_to_decision": _spread([verdict.frames for verdict in accepted]),
        "ms_to_decision": _spread([verdict.elapsed_ms for verdict in accepted]),
        "kinds": kinds,
        "rates": {rate: _by_rate(followed, gallery, one) for rate, one in rulings.items()},
    }


def _by_rate(followed: Sequence[Followed], gallery: Gallery, ruling: Ruling) -> dict[str, object]:
    found = rates(followed, gallery, ruling)
    fixed = replace(ruling, assurance=Assurance(0.0, 3, 3))
    return {
        "threshold": ruling.threshold,
        "fnir": {name: one.fnir for name, one in found.items()},
        "fpir": {name: one.fpir for name, one in found.items()},
        "searches": {name: one.searches for name, one in found.items()},
        "frames_to_decision": _spread(
            [v.frames for v in (decide(one, gallery, ruling) for one in followed) if v.accepted_as]
        ),
        "three_frames_always": {
            "fnir": rates(followed, gallery, fixed)["as_decided"].fnir,
            "fpir": rates(followed, gallery, fixed)["as_decided"].fpir,
        },
    }


def _spread(values: Sequence[int]) -> dict[str, float | None]:
    if not values:
        return {"median": None, "p95": None}
    return {"median": float(np.median(values)), "p95": float(np.percentile(values, 95))}
