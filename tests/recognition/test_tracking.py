"""Presentations: one for each person who walks up, and evidence of two people never mixed."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recognition import tracking
from recognition.tracking import (
    GONE_AFTER_MS,
    OCCLUDED_FRAMES,
    Likeness,
    Moment,
    Presentation,
    Sighting,
    Tracks,
    Vector,
    dump,
    follow,
    load,
    restart,
)

D = 192


def person(seed: int) -> Vector:
    vector = np.random.default_rng(seed).standard_normal(D).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def looks(base: Vector, cosine: float, seed: int = 99) -> Vector:
    """A face that has this cosine with the base."""
    across = person(seed)
    across = across - float(across @ base) * base
    across /= np.float32(np.linalg.norm(across))
    result: Vector = (cosine * base + np.sqrt(1 - cosine**2) * across).astype(np.float32)
    return result


ANNA, BERT, HAND = person(1), person(2), person(3)
LIKENESS = Likeness(alike=0.35, same=0.5)


def face(embedding: Vector, x: float = 100, y: float = 100, *, width: float = 60,
         quality: float = 0.8) -> Sighting:  # fmt: skip
    box = np.array([x, y, x + width, y + 1.2 * width], np.float32)
    return Sighting(box, embedding, quality)


def walk(*frames: list[Sighting], start: int = 0, every_ms: int = 100) -> list[Tracks]:
    """Follow frame after frame; what each gave."""
    steps: list[Tracks] = []
    present: list[Presentation] = []
    for number, sightings in enumerate(frames, start):
        at = 1_000_000 + number * every_ms
        steps.append(follow(present, sightings, Moment(number, at - 30, at), LIKENESS))
        present = steps[-1].present
    return steps


class TestOnePerson:
    def test_walking_across_the_picture_is_one_presentation(self) -> None:
        steps = walk(*([face(ANNA, x=50 + 30 * n)] for n in range(15)))
        (presentation,) = steps[-1].present
        assert presentation.frames == 15
        assert len({step.seen[0] for step in steps}) == 1

    def test_coming_nearer_is_one_presentation(self) -> None:
        steps = walk(*([face(ANNA, x=200 - 5 * n, width=50 + 12 * n)] for n in range(10)))
        (presentation,) = steps[-1].present
        assert presentation.widest == pytest.approx(158)

    def test_a_leap_is_bridged_by_looks_as_far_as_a_step_goes(self) -> None:
        assert len(walk([face(ANNA)], [face(ANNA, x=180)])[-1].present) == 1
        assert len(walk([face(ANNA)], [face(ANNA, x=400)])[-1].present) == 2

    def test_it_remembers_when_it_began_and_was_last_seen(self) -> None:
        (presentation,) = walk([face(ANNA)], [face(ANNA)], [face(ANNA)])[-1].present
        assert presentation.first_received_ms == 1_000_000
        assert presentation.received_ms == 1_000_200
        assert presentation.first_captured_ms == 999_970
        assert presentation.captured_ms == 1_000_170
        assert presentation.sequence == 2

    def test_the_probe_is_the_mean_weighted_by_quality(self) -> None:
        views = [looks(ANNA, 0.8, seed) for seed in (7, 8, 9)]
        weights = [0.9, 0.1, 0.5]
        (presentation,) = walk(
            *([face(v, quality=w)] for v, w in zip(views, weights, strict=True))
        )[-1].present
        mean = sum(w * v for v, w in zip(views, weights, strict=True))
        assert np.allclose(presentation.probe, mean / np.linalg.norm(mean), atol=1e-6)
        assert presentation.best_quality == 0.9

    def test_more_frames_come_nearer_to_the_person(self) -> None:
        steps = walk(*([face(looks(ANNA, 0.7, seed))] for seed in range(20, 32)))
        nearness = [float(step.present[0].probe @ ANNA) for step in steps]
        assert nearness[-1] > 0.9 > nearness[0]

    def test_the_best_face_says_what_the_presentation_lacks(self) -> None:
        faces = [("TOO_DARK", 0.3), ("BLURRED", 0.4), ("COVERED", 0.2)]
        steps = walk(*([replace(face(ANNA, quality=q), shortfall=s)] for s, q in faces))
        assert [step.present[0].shortfall for step in steps] == ["TOO_DARK", "BLURRED", "BLURRED"]
        (better,) = walk(
            *([replace(face(ANNA, quality=q), shortfall=s)] for s, q in [*faces, ("", 0.7)])
        )[-1].present
        assert better.shortfall == ""
        assert restart(better, Moment(9, 900, 900)).shortfall == ""

    def test_a_face_without_quality_says_what_it_lacks_too(self) -> None:
        (presentation,) = walk([replace(face(ANNA, quality=0.0), shortfall="TOO_DARK")])[-1].present
        assert presentation.shortfall == "TOO_DARK"

    def test_a_face_of_no_quality_still_counts_a_little(self) -> None:
        (presentation,) = walk([face(ANNA, quality=0.0)])[-1].present
        assert presentation.probe @ ANNA == pytest.approx(1, abs=1e-5)

    def test_out_of_sight_for_a_moment_is_not_gone(self) -> None:
        steps = walk([face(ANNA)], *[[]] * 14, [face(ANNA)])
        assert len({p.id for step in steps for p in step.present}) == 1
        assert not any(step.gone for step in steps)

    def test_gone_after_a_second_and_a_half(self) -> None:
        (presentation,) = walk([face(ANNA)])[-1].present
        for waited, gone in ((GONE_AFTER_MS, False), (GONE_AFTER_MS + 1, True)):
            tracks = follow(
                [presentation], [], Moment(9, 0, presentation.received_ms + waited), LIKENESS
            )
            assert (presentation in tracks.gone) == gone
            assert (presentation in tracks.present) != gone

    def test_whoever_comes_back_later_is_a_new_presentation(self) -> None:
        steps = walk([face(ANNA)], [face(ANNA)], every_ms=GONE_AFTER_MS + 1)
        assert steps[1].gone == steps[0].present
        assert steps[1].present[0].id != steps[0].present[0].id


class TestHandOverTheFace:
    def test_the_presentation_goes_on_without_the_hands_evidence(self) -> None:
        steps = walk(*[[face(ANNA)]] * 3, *[[face(HAND)]] * OCCLUDED_FRAMES, *[[face(ANNA)]] * 2)
        (presentation,) = steps[-1].present
        assert presentation.id == steps[0].present[0].id
        assert presentation.frames == 5
        assert presentation.probe @ ANNA == pytest.approx(1, abs=1e-5)

    def test_its_frames_are_given_to_nobody(self) -> None:
        steps = walk([face(ANNA)], [face(HAND)])
        assert steps[1].seen == [None]

    def test_an_unlike_frame_does_not_widen_or_better_the_evidence(self) -> None:
        steps = walk([face(ANNA)], [face(HAND, width=90, quality=1.0)])
        (presentation,) = steps[1].present
        assert (presentation.widest, presentation.best_quality) == (60, 0.8)

    def test_unlike_frames_must_come_in_a_row_to_be_somebody_else(self) -> None:
        frames = [[face(ANNA)], *([[face(HAND)]] * OCCLUDED_FRAMES + [[face(ANNA)]]) * 3]
        assert len({p.id for step in walk(*frames) for p in step.present}) == 1


class TestTwoPeople:
    def test_side_by_side_are_two_presentations(self) -> None:
        steps = walk(*([face(ANNA, x=50), face(BERT, x=300)] for _ in range(5)))
        assert sorted(p.frames for p in steps[-1].present) == [5, 5]

    def test_crossing_keeps_each_with_their_own_face(self) -> None:
        steps = walk(*([face(ANNA, x=40 * n), face(BERT, x=400 - 40 * n)] for n in range(11)))
        probes = [p.probe for p in steps[-1].present]
        assert len(probes) == 2
        for probe in probes:
            assert max(probe @ ANNA, probe @ BERT) == pytest.approx(1, abs=1e-4)
            assert min(probe @ ANNA, probe @ BERT) == pytest.approx(ANNA @ BERT, abs=0.02)

    def test_changing_places_in_one_frame_keeps_each_with_their_own_face(self) -> None:
        steps = walk(
            *[[face(ANNA, x=100), face(BERT, x=180)]] * 3,
            *[[face(BERT, x=100), face(ANNA, x=180)]] * 3,
        )
        assert_unmixed(steps)

    def test_the_order_of_faces_in_a_frame_does_not_matter(self) -> None:
        both = [face(ANNA, x=50), face(BERT, x=300)]
        steps = walk(both, both[::-1], both)
        assert sorted(p.frames for p in steps[-1].present) == [3, 3]
        assert_unmixed(steps)

    def test_somebody_in_the_same_place_is_a_new_presentation_after_a_while(self) -> None:
        steps = walk(*[[face(ANNA)]] * 3, *[[face(BERT)]] * (OCCLUDED_FRAMES + 3))
        assert_unmixed(steps)
        (presentation,) = steps[-1].present
        assert presentation.frames == 3
        assert presentation.probe @ BERT == pytest.approx(1, abs=1e-5)
        assert [p.frames for step in steps for p in step.gone] == [3], "Anna's is closed"

    def test_a_relay_of_faces_never_adds_up_to_one_probe(self) -> None:
        people = [person(seed) for seed in range(40, 60)]
        assert_unmixed(walk(*([face(someone)] for someone in people)))


def assert_unmixed(steps: list[Tracks]) -> None:
    """Whatever was counted into a presentation looks like the rest of it."""
    for step in steps:
        for presentation in (*step.present, *step.gone):
            if presentation.frames > 1:
                length = float(np.linalg.norm(presentation.total))
                assert length > 0.6 * 0.8 * presentation.frames


class TestRestart:
    def test_the_same_person_without_old_evidence(self) -> None:
        (before,) = walk([face(ANNA)], [face(ANNA)])[-1].present
        before = replace(before, settled="NO_MATCH")
        after = restart(before, Moment(5, 10, 20))
        assert after.id != before.id
        assert (after.frames, after.settled, after.best_quality, after.widest) == (0, "", 0, 0)
        assert (after.first_captured_ms, after.first_received_ms) == (10, 20)
        assert not after.total.any()
        assert not after.probe.any()

    def test_it_takes_up_the_face_that_is_there(self) -> None:
        (before,) = walk([face(ANNA)])[-1].present
        empty = restart(before, Moment(1, 1_000_100, 1_000_100))
        (after,) = follow([empty], [face(ANNA)], Moment(2, 1_000_200, 1_000_200), LIKENESS).present
        assert (after.id, after.frames) == (empty.id, 1)


faces = st.lists(
    st.builds(
        lambda seed, x, width, quality: face(person(seed), x, width=width, quality=quality),
        st.integers(1, 4),
        st.floats(0, 500),
        st.floats(20, 200),
        st.floats(0, 1),
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(faces, min_size=1, max_size=12), st.integers(0, 900))
def test_whatever_walks_by(frames: list[list[Sighting]], every_ms: int) -> None:
    steps = walk(*frames, every_ms=every_ms)
    for sightings, step in zip(frames, steps, strict=True):
        given_to = [identity for identity in step.seen if identity]
        assert len(step.seen) == len(sightings)
        assert len(given_to) == len(set(given_to)), "no presentation has two faces of a frame"
        assert set(given_to) <= {p.id for p in step.present}
        assert not {p.id for p in step.present} & {p.id for p in step.gone}
        assert len({p.id for p in step.present}) == len(step.present)
    for before, after in pairwise(steps):
        known = {p.id for p in before.present}
        assert known <= {p.id for p in (*after.present, *after.gone)}, "nobody is lost"
    total = sum(p.frames for p in steps[-1].present) + sum(
        p.frames for step in steps for p in step.gone
    )
    assert total == sum(identity is not None for step in steps for identity in step.seen)


class TestCarriedToTheNextFrame:
    def test_it_comes_back_as_it_was(self) -> None:
        steps = walk([face(ANNA), face(BERT, x=300)], [face(HAND), face(BERT, x=310)])
        before = [replace(steps[-1].present[0], settled="ACCEPTED"), steps[-1].present[1]]
        after = load(dump(before))
        for one, other in zip(before, after, strict=True):
            for name in Presentation.__slots__:
                assert np.array_equal(getattr(one, name), getattr(other, name)), name
            assert other.total.dtype == other.box.dtype == np.float32

    def test_nobody_is_nobody(self) -> None:
        assert load(dump([])) == []

    def test_following_goes_on_from_there(self) -> None:
        present = load(dump(walk([face(ANNA)], [face(ANNA)])[-1].present))
        (after,) = follow(present, [face(ANNA)], Moment(3, 1_000_300, 1_000_300), LIKENESS).present
        assert (after.id, after.frames) == (present[0].id, 3)

    @settings(max_examples=200)
    @given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
    def test_bytes_of_no_sense_are_refused(self, noise: bytes) -> None:
        if noise.strip() in (b"[]", b"{}", b'""'):
            return
        with pytest.raises(ValueError):  # noqa: PT011  any kind of it, nothing else
            load(noise)

    FAULTS: tuple[tuple[str, object], ...] = (
        ("id", "no uuid"),
        ("id", 5),
        ("total", "not base64!"),
        ("total", "AAA="),
        ("total", None),
        ("total", "AADAfw=="),
        ("box", [1, 2, 3]),
        ("box", [1, 2, 3, "x"]),
        ("box", [1, 2, 3, float("nan")]),
        ("box", None),
        ("frames", "many"),
        ("frames", None),
        ("frames", 1.5),
        ("best_quality", "good"),
        ("best_quality", float("nan")),
        ("received_ms", None),
        ("received_ms", "now"),
        ("settled", 5),
        ("shortfall", None),
        ("shortfall", 5),
        ("trail", None),
        ("trail", [[0, 0.5, 80]]),
        ("trail", [[0, 0.5, 80, "x"]]),
        ("trail", [[0.5, 0.5, 80, None]]),
        ("trail", [[0, float("nan"), 80, None]]),
        ("trail", [[0, 0.5, 80, None]] * 65),
    )

    @pytest.mark.parametrize(("name", "value"), FAULTS)
    def test_a_field_of_the_wrong_form_is_refused(self, name: str, value: object) -> None:
        raw = json.loads(dump(walk([face(ANNA)])[-1].present))
        raw[0][name] = value
        with pytest.raises(ValueError):  # noqa: PT011
            load(json.dumps(raw).encode())

    @pytest.mark.parametrize("change", ["more", "less"])
    def test_fields_too_many_or_too_few_are_refused(self, change: str) -> None:
        raw = json.loads(dump(walk([face(ANNA)])[-1].present))
        if change == "more":
            raw[0]["extra"] = 1
        else:
            del raw[0]["frames"]
        with pytest.raises(ValueError):  # noqa: PT011
            load(json.dumps(raw).encode())

    def test_deep_nesting_is_refused(self) -> None:
        with pytest.raises(ValueError):  # noqa: PT011
            load(b"[" * 100_000)


@given(
    arrays(np.float32, (3, 4), elements=st.floats(0, 500, width=32)),
    arrays(np.float32, (2, 4), elements=st.floats(0, 500, width=32)),
)
def test_overlap_lies_between_0_and_1_and_does_not_depend_on_the_order(
    a: Vector, b: Vector
) -> None:
    a[:, 2:] += a[:, :2] + 1
    b[:, 2:] += b[:, :2] + 1
    overlap = tracking._iou(a, b)
    assert overlap.shape == (3, 2)
    assert (overlap >= 0).all()
    assert (overlap <= 1.0001).all()
    assert np.allclose(overlap, tracking._iou(b, a).T, atol=1e-4)
    assert np.allclose(np.diag(tracking._iou(a, a)), 1, atol=1e-3)


class TestLikeness:
    def test_it_follows_the_scale_of_the_embedders_scores(self) -> None:
        rates = {"1e-2": 0.76, "1e-3": 0.8, "1e-4": 0.83, "1e-6": 0.87}
        assert Likeness.by_rates(rates) == Likeness(alike=0.76, same=0.83)

    def test_two_people_of_a_scale_that_begins_high_are_not_taken_for_one(self) -> None:
        """Cosines of strangers are about 0.63 there: above what another embedder calls alike."""
        likeness = Likeness.by_rates({"1e-2": 0.76, "1e-4": 0.83})
        present: list[Presentation] = []
        for number, seen in enumerate([ANNA] * 3 + [looks(ANNA, 0.63)] * (OCCLUDED_FRAMES + 1)):
            at = 1_000_000 + number * 100
            tracks = follow(present, [face(seen)], Moment(number, at, at), likeness)
            present = tracks.present
        (now,) = present
        assert now.frames == 1
        assert len(tracks.gone) == 1
        assert tracks.gone[0].frames == 3

    def test_without_a_calibration_hardly_anything_is_alike(self) -> None:
        assert Likeness.by_rates({}).alike > 0.9
