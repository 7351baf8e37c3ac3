"""A worker's decisions: search what presentations show so far, decide, record, tell the kiosk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from django.conf import settings
from django.utils import timezone

from accesscontrol import (
    assurance,
    decisions,
    keyring,
    model_versions,
    notify,
    step_ups,
    thresholds,
    visits,
)
from accesscontrol.challenges import ChallengeRule
from accesscontrol.decisions import (
    Candidate,
    Evidence,
    KioskShutOutError,
    PadRule,
    Policy,
    Verdict,
)
from accesscontrol.frames import FrameOutlet, now_ms
from accesscontrol.gallery import Probe, nearest
from accesscontrol.lanes import Lane
from accesscontrol.models import Kiosk, Outcome
from recognition import asking, challenge, tracking
from recognition.following import ModelInUse
from recognition.identification import LOWEST_QUALITY
from recognition.pad_threshold import pad_threshold
from recognition.scene import Scene, asks_for_challenge, asks_for_pad, evidence_of
from recognition.tracking import Moment, Presentation

FEWEST_PAD_FRAMES = 3
"""Faces with a presentation-attack score that an acceptance needs, at a site that asks for it."""
PATIENCE_MS = 3_000
"""How long a presentation may gather evidence before it is refused."""
RETRY_MS = 3_000
"""A person still there this long after a refusal is tried anew."""


class Decider:
    """Decides presentations for one worker.

    Args:
        model: what it recognises with.
        worker: its name; a kiosk that another worker holds by now is not its to decide.
    """

    def __init__(self, model: ModelInUse, outlet: FrameOutlet, worker: str) -> None:
        self._model, self._outlet, self._name = model, outlet, worker
        pad = model.pipeline.pad_model
        self._pad_rule = PadRule(f"{pad.name} {pad.version}", pad_threshold(pad), FEWEST_PAD_FRAMES)

    def scores_attacks(self, kiosk: Kiosk) -> bool:
        """Whether the site asks for it and the score can say anything: else it is time lost."""
        return asks_for_pad(kiosk) and self._pad_rule.threshold is not None

    def settle(self, scenes: Sequence[Scene]) -> None:
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
        rotation_id, _ = rotation()
        version = self._model.version()
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
        policy = self._policy_of(scene.kiosk)
        evidence = evidence_of(presentation, scene.trace)
        verdict = decisions.decide(evidence, candidates, policy, timezone.now())
        if verdict.best and policy and verdict.best.score >= policy.threshold:
            verdict = self._by_lanes(scene.kiosk, evidence, verdict, verdict.best)
        if verdict.outcome is Outcome.CHALLENGE and verdict.best and not gone:
            shown = self._outlet.challenges
            presentation = asking.ask(scene, presentation, verdict.best.employee_id, shown)
        over = gone or asking.is_over(scene, presentation, verdict.outcome, patience_ms=PATIENCE_MS)
        if not (verdict.accepted or over) or not self._outlet.holds(scene.kiosk.pk, self._name):
            return
        pair = None if gone else step_ups.pair_to_ask(evidence, verdict, candidates or (), policy)
        if pair:
            evidence = step_ups.with_offer(evidence, pair)
        try:
            recorded = decisions.record_decision(
                scene.kiosk.pk, evidence, verdict, policy, candidates or ()
            )
        except KioskShutOutError:
            scene.failed = True
            notify.close_kiosk(scene.kiosk.pk, "revoked")
            return
        scene.decided.append(recorded.decision)
        settled = replace(presentation, settled=step_ups.settled_as(recorded.decision))
        scene.tracks = replace(
            scene.tracks,
            present=[settled if p.id == settled.id else p for p in scene.tracks.present],
        )
        if settled.settled == Outcome.AT_OTHER_KIOSK:
            return  # who stands elsewhere is answered there
        # The transaction is committed: from here on a person may read it.
        message = decisions.kiosk_message(recorded, presentation.sequence)
        notify.send_to_kiosk(scene.kiosk.pk, step_ups.asks(message, recorded))
        visits.keep_visit(recorded.decision, presentation.probe, rotation()[0])

    def _by_lanes(
        self, kiosk: Kiosk, evidence: Evidence, verdict: Verdict, best: Candidate
    ) -> Verdict:
        """Of kiosks that see a person at once, only the one that sees them largest accepts."""
        here = (Outcome.ACCEPTED, Outcome.CHALLENGE)
        if verdict.outcome not in (*here, Outcome.LOW_QUALITY):
            return verdict
        seen_ms = round(evidence.received_at.timestamp() * 1000)
        mine = Lane(kiosk.pk, round(evidence.face_share, 5), seen_ms)
        nearer = self._outlet.lanes.nearer(kiosk.site_id, best.employee_id, mine)
        if nearer is None or verdict.outcome not in here:
            return verdict
        return Verdict(Outcome.AT_OTHER_KIOSK, best, verdict.second)

    def _policy_of(self, kiosk: Kiosk) -> Policy | None:
        version = self._model.version()
        # Asked each time: a switch may have come since the batch began, or to a model that is not
        # installed here. Whoever is still there is looked at again, by the model in use.
        if not self._model.is_in_use(model_versions.active()):
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
            challenge=ChallengeRule(challenge.STEPS) if asks_for_challenge(kiosk) else None,
        )


def rotation() -> tuple[str, bytes]:
    """Name and key of the rotation that templates are stored under."""
    keys = keyring.load(settings.KEYRING_PATH).templates
    return keys.current, keys.key(keys.current)


def retried(presentation: Presentation, moment: Moment) -> Presentation:
    """Somebody still there some time after a refusal gets a new presentation."""
    refused = presentation.settled not in ("", Outcome.ACCEPTED, step_ups.SETTLED)
    asked = presentation.challenge
    ended_ms = asked.ended_ms if asked else presentation.first_received_ms + PATIENCE_MS
    if refused and moment.received_ms - ended_ms >= RETRY_MS:
        return tracking.restart(presentation, moment)
    return presentation
