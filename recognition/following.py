"""The embedders that a worker process has loaded: the active model's, and while a model change is
open the other one's beside it, so that a switch costs nobody a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from pathlib import Path

import redis

from accesscontrol import model_change, model_versions
from accesscontrol.model_versions import ModelFacts
from accesscontrol.models import ModelChange, ModelVersion
from accesscontrol.worker_models import WorkerReports
from recognition import embedders
from recognition.pipeline import Pipeline
from recognition.placing import Likeness
from recognition.weights import WeightsError

logger = logging.getLogger(__name__)

ATTEND_EVERY_S = 1.0
TRY_AGAIN_S = 60.0
"""After which a model that could not be loaded is tried once more: it may be installed by now."""


def embedder_of(version: ModelVersion, models_dir: Path) -> str | None:
    """By which name this machine loads a model version; None if it is not installed here."""
    for name, model in embedders.installed(models_dir).items():
        if model.sha256 == version.sha256:
            return name
    return None


class Follower:
    """Loads embedders beside each other; everything else of the pipeline is shared.

    Args:
        base: the pipeline that the process began with.
        models_dir: where embedders are installed.
    """

    def __init__(self, base: Pipeline, models_dir: Path) -> None:
        self._base = base
        self._models_dir = models_dir
        self._loaded = {base.model.sha256: base}
        self._failed: dict[str, float] = {}
        self._lock = threading.Lock()
        self._attended = 0.0
        self.change: ModelChange | None = None
        """The open model change, as of the last second."""

    def attend(self, reports: WorkerReports, worker: str) -> None:
        """Once a second: load what a model change may switch to, and say what is loaded.

        Raises DatabaseError.
        """
        if time.monotonic() - self._attended < ATTEND_EVERY_S:
            return
        self._attended = time.monotonic()
        self.change = model_change.current()
        kept = model_versions.kept()
        for version in kept:
            self.load_ahead(version)
        self.keep_only(kept)
        try:
            reports.tell(worker, self.installed, self.loaded)
        except redis.RedisError as error:
            logger.warning("the models here were not reported: %s", error)

    @property
    def installed(self) -> set[str]:
        """SHA-256 of the models that could be loaded here."""
        return {model.sha256 for model in embedders.installed(self._models_dir).values()}

    @property
    def loaded(self) -> set[str]:
        """SHA-256 of the models that answer at once."""
        return set(self._loaded)

    def has(self, version: ModelVersion) -> bool:
        return version.sha256 in self._loaded

    def pipeline_of(self, version: ModelVersion) -> Pipeline | None:
        """The pipeline that embeds as this version, loaded now if it is not; None if it cannot."""
        with self._lock:
            if not self.has(version):
                self._load(version)
            return self._loaded.get(version.sha256)

    def load_ahead(self, version: ModelVersion) -> None:
        """Load it in a thread of its own, while this one goes on recognising."""
        if self.has(version) or self._has_failed(version) or self._lock.locked():
            return
        name = f"load {version}"
        threading.Thread(target=self.pipeline_of, args=(version,), name=name, daemon=True).start()

    def keep_only(self, versions: Collection[ModelVersion]) -> None:
        """Let go of the others' memory."""
        wanted = {version.sha256 for version in versions}
        for sha256 in self.loaded - wanted:
            del self._loaded[sha256]

    def _has_failed(self, version: ModelVersion) -> bool:
        at = self._failed.get(version.sha256)
        return at is not None and time.monotonic() - at < TRY_AGAIN_S

    def _load(self, version: ModelVersion) -> None:
        if self._has_failed(version):
            return
        if version.sha256 == self._base.model.sha256:
            self._loaded[version.sha256] = self._base
            return
        name = embedder_of(version, self._models_dir)
        reason: object = f"it is not installed in {self._models_dir}"
        pipeline: Pipeline | None = None
        try:
            if name is not None:
                pipeline = self._base.beside(self._models_dir, name)
                embedders.warm_up(pipeline.embedding)
        except (WeightsError, RuntimeError) as error:
            reason, pipeline = error, None
        if pipeline is None:
            self._failed[version.sha256] = time.monotonic()
            logger.error("%s cannot be loaded here: %s", version, reason)
            return
        self._loaded[version.sha256] = pipeline
        logger.info("%s is loaded", version)


class ModelInUse:
    """The model that a worker recognises with: its pipeline, its version, and whether it may.

    Without a follower it stays what it is, and decides nothing once another model is in use.
    """

    def __init__(self, pipeline: Pipeline, facts: ModelFacts, follower: Follower | None) -> None:
        self.pipeline = pipeline
        self.likeness = Likeness.by_rates(facts.calibration.get("thresholds", {}))
        self._facts = facts
        self._follower = follower
        self._version: ModelVersion | None = None

    @property
    def change(self) -> ModelChange | None:
        """The open model change, as of the last second."""
        return self._follower.change if self._follower else None

    def has(self, version: ModelVersion) -> bool:
        """Whether it answers at once."""
        return self._follower is not None and self._follower.has(version)

    def version(self) -> ModelVersion:
        """The model in the database, registered at first use."""
        if self._version is None:
            self._version = model_versions.register_model(self._facts)
        return self._version

    def pipeline_of(self, version: ModelVersion) -> Pipeline | None:
        """The pipeline that embeds as this version; None if it cannot be loaded here."""
        if version.pk == self.version().pk:
            return self.pipeline
        return self._follower.pipeline_of(version) if self._follower else None

    def follow(self, reports: WorkerReports, worker: str) -> bool:
        """Take up the model in use; whether this worker then has it. Raises DatabaseError."""
        version, active = self.version(), model_versions.active()
        if self._follower is not None:
            if active is not None and active.pk != version.pk:
                self._take_up(active, self._follower.pipeline_of(active))
            self._follower.attend(reports, worker)
        return self.is_in_use(active)

    def is_in_use(self, active: ModelVersion | None) -> bool:
        """Whether the active model is this one."""
        return active is not None and active.pk == self.version().pk

    def _take_up(self, version: ModelVersion, pipeline: Pipeline | None) -> None:
        if pipeline is None:
            return  # not installed here: nobody is accepted until it is
        self.pipeline, self._version = pipeline, version
        self.likeness = Likeness.by_rates(version.calibration.get("thresholds", {}))
        logger.info("recognising with %s from here on", version)
