"""A worker's part in the way of one frame: take the waiting frames, recognise, decide, answer."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

import numpy as np
import redis
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from accesscontrol import (
    assurance,
    crypto,
    decisions,
    keyring,
    model_versions,
    notify,
    thresholds,
)
from accesscontrol.decisions import (
    Candidate,
    Evidence,
    KioskShutOutError,
    PadRule,
    Policy,
    Verdict,
)
from accesscontrol.frames import Frame, FrameOutlet, now_ms
from accesscontrol.gallery import Probe, nearest
from accesscontrol.lanes import Lane
from accesscontrol.model_versions import ModelFacts
from accesscontrol.models import Kiosk, ModelVersion, Outcome
from recognition import answers, carried, isolation, pacing, tracking
from recognition.pad_threshold import pad_threshold
from recognition.pipeline import Pipeline
from recognition.placing import Likeness
from recognition.scene import Scene, asks_for_pad, evidence_of, sightings, streaming_kiosks
from recognition.tracking import Moment, Presentation, Vector
from recognition.watching import Watched, analyse

logger = logging.getLogger(__name__)

FEWEST_PAD_FRAMES = 3
"""Faces with a presentation-attack score that an acceptance needs, at a site that asks for it."""
PATIENCE_MS = 3_000
"""How long a presentation may gather evidence before it is refused."""
RETRY_MS = 3_000
"""A person still there this long after a refusal is tried anew."""
LOWEST_QUALITY = 0.25
"""Of a presentation's best face, which then could not reach any threshold in use: its person
is told what to mend instead of "not recognised". In the kiosk clips no single face is below."""
LONGEST_DRAIN_S = 1.0


class Recogniser:
    """Everything one worker process holds. One at a time uses it."""

    def __init__(self, pipeline: Pipeline, outlet: FrameOutlet, facts: ModelFacts) -> None:
        self._pipeline = pipeline
        self._outlet = outlet
        self._facts = facts
        self._name = uuid.uuid4().hex
        self._pace, self._leads = pacing.Pace(), pacing.Leads()
        self._likeness = Likeness.by_rates(facts.calibration.get("thresholds", {}))
        self._version: ModelVersion | None = None
        model = pipeline.pad_model
        self._pad_rule = PadRule(
            f"{model.name} {model.version}", pad_threshold(model), FEWEST_PAD_FRAMES
        )

    @property
    def pipeline(self) -> Pipeline:
        return self._pipeline

    def version(self) -> ModelVersion:
        """This worker's model in the database, registered at first use."""
        if self._version is None:
            self._version = model_versions.register_model(self._facts)
        return self._version

    def drain(self) -> None:
        """Work off every waiting frame, one for each kiosk at a time, newest only, few at once.

        Then close the presentations of those who left. Under steady load it hands over to a new
        wake-up message after a second, so that no message stays unanswered for long.
        """
        self._outlet.begin()
        until, interrupted = time.monotonic() + LONGEST_DRAIN_S, False
        while frames := self._outlet.take(self._pace.frames, self._name):
            for portion in isolation.portions(frames):
                begun = time.monotonic()
                self._work(portion)
                self._pace.worked(len(portion), 1000 * (time.monotonic() - begun))
            if interrupted := time.monotonic() > until:
                break
        self._close(self._outlet.take_resting(self._name), rested=True)
        left = self._outlet.left_open(now_ms() - tracking.GONE_AFTER_MS)
        self._close([k for k in left if self._outlet.hold(k, self._name)], rested=False)
        # What waits because another worker holds its kiosk is that one's to find.
        if interrupted and self._outlet.waiting():
            notify.wake_recognition()

    def _work(self, frames: Sequence[Frame]) -> None:
        self._outlet.count_batch(len(frames))
        held = [frame.kiosk_id for frame in frames]
        kept: set[UUID] = set()
        try:
            work = partial(self._recognise, kept=kept)
            isolation.apart(frames, work, self._give_up, passed_on=AWAY)
        except DatabaseError as error:
            # Nothing was decided: the next frame finds the presentations as they were.
            logger.warning("database error, %d frames dropped: %s", len(frames), error)
            for kiosk_id in held:
                notify.send_to_kiosk(kiosk_id, answers.BUSY)
        finally:
            for kiosk_id in held:
                self._outlet.release(kiosk_id, self._name)

    def _recognise(self, frames: Sequence[Frame], kept: set[UUID]) -> None:
        """See, decide, keep; a frame whose kiosk is in `kept` is evidence already, not twice."""
        scenes = self._see([frame for frame in frames if frame.kiosk_id not in kept])
        self._settle(scenes)
        for scene in scenes:
            self._keep(scene)
            kept.add(scene.kiosk.pk)
            self._answer(scene)

    def _give_up(self, frame: Frame) -> None:
        self._forget(frame.kiosk_id)
        notify.send_to_kiosk(frame.kiosk_id, answers.unrecognisable(frame))

    def _forget(self, kiosk_id: UUID) -> None:
        """Begin anew with a kiosk whose frame or presentations break something of ours."""
        if self._outlet.holds(kiosk_id, self._name):
            self._outlet.save_tracks(kiosk_id, None, 0)

    def _see(self, frames: Sequence[Frame]) -> list[Scene]:
        """Recognise the faces of all frames in one batch and give them to presentations."""
        kiosks = streaming_kiosks([frame.kiosk_id for frame in frames])
        frames = [frame for frame in frames if frame.kiosk_id in kiosks]
        if not frames:
            return []
        begun = now_ms()
        smallest = min(kiosk.smallest_face for kiosk in kiosks.values())
        watched = [self._watched(frame, kiosks[frame.kiosk_id]) for frame in frames]
        results = analyse(self._pipeline, watched, smallest_face=smallest)
        pipeline_ms = now_ms() - begun
        scenes = []
        for frame, one, result in zip(frames, watched, results, strict=True):
            trace: dict[str, float] = {
                "waited_ms": begun - frame.received_ms,
                "pipeline_ms": pipeline_ms,
                "batch": len(frames),
            }
            scene = Scene(kiosks[frame.kiosk_id], one.moment, one.follow(result), frame, result)
            scene.trace = trace
            scenes.append(scene)
        return scenes

    def _watched(self, frame: Frame, kiosk: Kiosk) -> Watched:
        return Watched(
            frame.image,
            Moment(frame.sequence, frame.captured_ms, frame.received_ms),
            self._presentations(frame.kiosk_id),
            self._scores_attacks(kiosk),
            lambda result: sightings(result, kiosk, self._rotate),
            self._likeness,
            self._outlet.looked_ms(frame.kiosk_id),
        )

    def _scores_attacks(self, kiosk: Kiosk) -> bool:
        """Whether the site asks for it and the score can say anything: else it is time lost."""
        return asks_for_pad(kiosk) and self._pad_rule.threshold is not None

    def _presentations(self, kiosk_id: UUID) -> list[Presentation]:
        state = self._outlet.load_tracks(kiosk_id)
        try:
            present = carried.load(state, self._basis()) if state else []
        except ValueError:
            logger.warning("presentations of kiosk %s were unreadable, begun anew", kiosk_id)
            return []
        return [p for p in present if p.total.size == self.version().dimension]

    def _rotation(self) -> tuple[str, bytes]:
        keys = keyring.load(settings.KEYRING_PATH).templates
        return keys.current, keys.key(keys.current)

    def _rotate(self, embedding: Vector) -> Vector:
        return crypto.rotate(embedding, self._rotation()[1])

    def _basis(self) -> str:
        """What the embeddings of presentations go by: those of another basis begin anew."""
        return f"{self.version().sha256} {self._rotation()[0]}"

    def _close(self, held: Sequence[UUID], *, rested: bool) -> None:
        """Decide what is still open at kiosks before which nobody stands any more."""
        close = partial(self._close_together, rested=rested)
        give_up = self._give_up_rest if rested else self._forget
        try:
            if held:
                isolation.apart(held, close, give_up, passed_on=AWAY)
        except DatabaseError as error:
            logger.warning("database error, presentations stay open: %s", error)
            for kiosk_id in held if rested else ():
                self._outlet.rest_on(kiosk_id)
        finally:
            for kiosk_id in held:
                self._outlet.release(kiosk_id, self._name)

    def _give_up_rest(self, kiosk_id: UUID) -> None:
        self._forget(kiosk_id)
        notify.send_to_kiosk(kiosk_id, answers.RESTED)

    def _close_together(self, held: Sequence[UUID], *, rested: bool) -> None:
        moment = Moment(0, now_ms(), now_ms())
        scenes = []
        kiosks = streaming_kiosks(held)
        for kiosk_id in held:
            present = self._presentations(kiosk_id)
            if kiosk_id not in kiosks:
                self._outlet.save_tracks(kiosk_id, None, 0)
                continue
            tracks = tracking.follow(present, [], moment, self._likeness)
            if rested:
                tracks = tracking.Tracks([], present)
            scenes.append(Scene(kiosks[kiosk_id], moment, tracks, closing=rested))
        self._settle(scenes)
        for scene in scenes:
            self._keep(scene)
            self._answer(scene)

    def _settle(self, scenes: Sequence[Scene]) -> None:
        """Search all ripe presentations in one query, decide, record, and tell the kiosks."""
        ripe = [
            (scene, presentation, gone)
            for scene in scenes
            for gone, presentations in ((False, scene.tracks.present), (True, scene.tracks.gone))
            for presentation in presentations
            if presentation.frames and not presentation.settled
        ]
        begun = now_ms()
        found = self._search([(scene, presentation) for scene, presentation, _ in ripe])
        for scene, _, _ in ripe:
            scene.trace["search_ms"] = now_ms() - begun
        for (scene, presentation, gone), candidates in zip(ripe, found, strict=True):
            if not scene.failed:
                self._decide(scene, presentation, candidates, gone=gone)

    def _search(self, ripe: Sequence[tuple[Scene, Presentation]]) -> list[list[Candidate] | None]:
        """Candidates for each presentation; None for one whose probe has no direction."""
        rotation_id, _ = self._rotation()
        version = self.version()
        sound = [
            bool(abs(np.linalg.norm(presentation.probe) - 1) < 1e-3) for _, presentation in ripe
        ]
        probes = [
            Probe(scene.kiosk.site_id, presentation.probe)
            for (scene, presentation), is_sound in zip(ripe, sound, strict=True)
            if is_sound
        ]
        found = iter(nearest(probes, version, rotation_id))
        return [next(found) if is_sound else None for is_sound in sound]

    def _decide(
        self,
        scene: Scene,
        presentation: Presentation,
        candidates: list[Candidate] | None,
        *,
        gone: bool,
    ) -> None:
        policy = self._policy(scene.kiosk)
        evidence = evidence_of(presentation, scene.trace)
        verdict = decisions.decide(evidence, candidates, policy, timezone.now())
        if verdict.best and policy and verdict.best.score >= policy.threshold:
            verdict = self._by_lanes(scene.kiosk, evidence, verdict, verdict.best)
        over = gone or presentation.received_ms - presentation.first_received_ms >= PATIENCE_MS
        if not (verdict.accepted or over) or not self._outlet.holds(scene.kiosk.pk, self._name):
            return
        try:
            recorded = decisions.record_decision(
                scene.kiosk.pk, evidence, verdict, policy, candidates or ()
            )
        except KioskShutOutError:
            scene.failed = True
            notify.close_kiosk(scene.kiosk.pk, "revoked")
            return
        settled = replace(presentation, settled=str(recorded.decision.outcome))
        scene.tracks = replace(
            scene.tracks,
            present=[settled if p.id == settled.id else p for p in scene.tracks.present],
        )
        if settled.settled == Outcome.AT_OTHER_KIOSK:
            return  # who stands elsewhere is answered there
        # The transaction is committed: from here on a person may read it.
        message = decisions.kiosk_message(recorded, presentation.sequence)
        notify.send_to_kiosk(scene.kiosk.pk, message)

    def _by_lanes(
        self, kiosk: Kiosk, evidence: Evidence, verdict: Verdict, best: Candidate
    ) -> Verdict:
        """Of kiosks that see a person at once, only the one that sees them largest accepts."""
        if verdict.outcome not in (Outcome.ACCEPTED, Outcome.LOW_QUALITY):
            return verdict
        seen_ms = round(evidence.received_at.timestamp() * 1000)
        mine = Lane(kiosk.pk, round(evidence.face_share, 5), seen_ms)
        nearer = self._outlet.lanes.nearer(kiosk.site_id, best.employee_id, mine)
        if nearer is None or not verdict.accepted:
            return verdict
        return Verdict(Outcome.AT_OTHER_KIOSK, best, verdict.second)

    def _policy(self, kiosk: Kiosk) -> Policy | None:
        version = self.version()
        # Asked each time: another model may have been made the active one since this worker began.
        active = model_versions.active()
        if active is None or active.pk != version.pk:
            return None
        row = thresholds.in_force(kiosk.site_id, version.pk)
        if row is None:
            return None
        return Policy(
            threshold_id=row.pk,
            model_version_id=version.pk,
            threshold=row.value,
            margin=row.margin,
            fewest_frames=assurance.FEWEST_FRAMES,
            smallest_face=float(kiosk.deciding_face or kiosk.smallest_face),
            lowest_quality=LOWEST_QUALITY,
            pad=self._pad_rule if asks_for_pad(kiosk) else None,
            doubtful_frames=assurance.DOUBTFUL_FRAMES,
            clear_lead=thresholds.default_margin(version),
        )

    def _keep(self, scene: Scene) -> None:
        """Save what goes on for the next frame."""
        present = [_retried(p, scene.moment) for p in scene.tracks.present]
        kiosk_id = scene.kiosk.pk
        if self._outlet.holds(kiosk_id, self._name):
            dumped = present and not scene.failed
            state = carried.dump(present, self._basis()) if dumped else None
            lead_ms = self._leads.lead_ms(kiosk_id, present)
            self._outlet.save_tracks(kiosk_id, state, _last_seen(present, scene), lead_ms=lead_ms)
            if scene.frame:
                self._outlet.note_look(kiosk_id, scene.frame.received_ms)

    def _answer(self, scene: Scene) -> None:
        """Tell the kiosk where the faces are, or that nobody is there any more."""
        if scene.closing:
            notify.send_to_kiosk(scene.kiosk.pk, answers.RESTED)
        elif scene.result and scene.frame:
            message = answers.faces(scene.frame, scene.result, scene.tracks.present)
            notify.send_to_kiosk(scene.kiosk.pk, message)


# About none of the frames: everything waits until it is back.
AWAY = (DatabaseError, redis.RedisError)


def _retried(presentation: Presentation, moment: Moment) -> Presentation:
    """Somebody still there some time after a refusal gets a new presentation."""
    refused = presentation.settled not in ("", Outcome.ACCEPTED)
    since = moment.received_ms - presentation.first_received_ms
    if refused and since >= PATIENCE_MS + RETRY_MS:
        return tracking.restart(presentation, moment)
    return presentation


def _last_seen(present: Sequence[Presentation], scene: Scene) -> int:
    """When somebody was last seen. Whoever the frame shows counts as seen now: however long it
    took to look at it, their next frame can come only after this."""
    seen = [p.received_ms for p in present]
    return now_ms() if scene.frame and scene.frame.received_ms in seen else max(seen, default=0)
