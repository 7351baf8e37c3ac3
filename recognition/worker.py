"""A worker's part in the way of one frame: take the waiting frames, recognise, decide, answer."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from functools import partial
from uuid import UUID

import redis
from django.db import DatabaseError

from accesscontrol import crypto, notify
from accesscontrol.frames import Frame, FrameOutlet, now_ms
from accesscontrol.model_versions import ModelFacts
from accesscontrol.models import Kiosk, ModelVersion
from recognition import answers, asking, carried, isolation, pacing, tracking
from recognition.deciding import Decider, retried, rotation
from recognition.following import Follower, ModelInUse
from recognition.pipeline import Pipeline
from recognition.scene import Scene, sightings, streaming_kiosks
from recognition.shadow import Shadowing
from recognition.tracking import Moment, Presentation, Vector
from recognition.watching import Watched, analyse

logger = logging.getLogger(__name__)

LONGEST_DRAIN_S = 1.0


class Recogniser:
    """Everything one worker process holds. One at a time uses it.

    Without a `follower` it stays with its pipeline, and decides nothing under another model.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        outlet: FrameOutlet,
        facts: ModelFacts,
        follower: Follower | None = None,
    ) -> None:
        self._model = ModelInUse(pipeline, facts, follower)
        self._outlet = outlet
        self._shadowing = Shadowing(self._model, rotation, outlet.waiting)
        self._name = uuid.uuid4().hex
        self._pace, self._leads = pacing.Pace(), pacing.Leads()
        self._decider = Decider(self._model, outlet, self._name)

    @property
    def pipeline(self) -> Pipeline:
        return self._model.pipeline

    def version(self) -> ModelVersion:
        """This worker's model in the database, registered at first use."""
        return self._model.version()

    def pipeline_of(self, version: ModelVersion) -> Pipeline | None:
        """The pipeline that embeds as this version; None if it cannot be loaded here."""
        return self._model.pipeline_of(version)

    def follow(self) -> bool:
        """Take up the model that is in use by now; whether it is this worker's from here on.

        A batch is seen, searched and decided under one model, that which was in use when it
        began. Presentations of another one begin anew with the next frame. Raises DatabaseError.
        """
        return self._model.follow(self._outlet.worker_reports, self._name)

    def drain(self) -> None:
        """Work off every waiting frame, one for each kiosk at a time, newest only, few at once.

        Then close the presentations of those who left. Under steady load it hands over to a new
        wake-up message after a second, so that no message stays unanswered for long.
        """
        self._outlet.begin()
        until, interrupted = time.monotonic() + LONGEST_DRAIN_S, False
        self._follow()
        while frames := self._outlet.take(self._pace.frames, self._name):
            for portion in isolation.portions(frames):
                begun = time.monotonic()
                self._work(portion)
                self._pace.worked(len(portion), 1000 * (time.monotonic() - begun))
            if interrupted := time.monotonic() > until:
                break
            self._follow()
        self._close(self._outlet.take_resting(self._name), rested=True)
        left = self._outlet.left_open(now_ms() - tracking.GONE_AFTER_MS)
        self._close([k for k in left if self._outlet.hold(k, self._name)], rested=False)
        # What waits because another worker holds its kiosk is that one's to find.
        if interrupted and self._outlet.waiting():
            notify.wake_recognition()

    def _follow(self) -> None:
        try:
            self.follow()
        except DatabaseError as error:
            logger.warning("database error, still with the model before: %s", error)

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
        self._shadowing.look()

    def _recognise(self, frames: Sequence[Frame], kept: set[UUID]) -> None:
        """See, decide, keep; a frame whose kiosk is in `kept` is evidence already, not twice."""
        scenes = self._see([frame for frame in frames if frame.kiosk_id not in kept])
        self._decider.settle(scenes)
        for scene in scenes:
            self._keep(scene)
            kept.add(scene.kiosk.pk)
            self._answer(scene)
        self._shadowing.answered += scenes

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
        results = analyse(self.pipeline, watched, smallest_face=smallest)
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
            self._decider.scores_attacks(kiosk),
            lambda result: sightings(result, kiosk, self._rotate),
            self._model.likeness,
            self._outlet.looked_ms(frame.kiosk_id),
        )

    def _presentations(self, kiosk_id: UUID) -> list[Presentation]:
        state = self._outlet.load_tracks(kiosk_id)
        try:
            present = carried.load(state, self._basis()) if state else []
        except ValueError:
            logger.warning("presentations of kiosk %s were unreadable, begun anew", kiosk_id)
            return []
        return [p for p in present if p.total.size == self.version().dimension]

    def _rotate(self, embedding: Vector) -> Vector:
        return crypto.rotate(embedding, rotation()[1])

    def _basis(self) -> str:
        """What the embeddings of presentations go by: those of another basis begin anew."""
        return f"{self.version().sha256} {rotation()[0]}"

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
        self._shadowing.look()

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
            tracks = tracking.follow(present, [], moment, self._model.likeness)
            if rested:
                tracks = tracking.Tracks([], present)
            scenes.append(Scene(kiosks[kiosk_id], moment, tracks, closing=rested))
        self._decider.settle(scenes)
        for scene in scenes:
            self._keep(scene)
            self._answer(scene)
        self._shadowing.answered += scenes

    def _keep(self, scene: Scene) -> None:
        """Save what goes on for the next frame."""
        asking.prompt(scene)
        present = [retried(p, scene.moment) for p in scene.tracks.present]
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
            for prompt in asking.messages(scene):
                notify.send_to_kiosk(scene.kiosk.pk, prompt)


# About none of the frames: everything waits until it is back.
AWAY = (DatabaseError, redis.RedisError)


def _last_seen(present: Sequence[Presentation], scene: Scene) -> int:
    """When somebody was last seen. Whoever the frame shows counts as seen now: however long it
    took to look at it, their next frame can come only after this."""
    seen = [p.received_ms for p in present]
    return now_ms() if scene.frame and scene.frame.received_ms in seen else max(seen, default=0)
