"""Fine-tuning for a site: learn, measure before and after on people not learnt from, judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.adapter import Adapter
from recognition.embed import DIMENSION, MobileFaceNet, embed
from recognition.embedders import Embedder
from recognition.evaluate.datasets import DatasetError, Pair
from recognition.fusion import fuse
from recognition.training.config import TrainConfig
from recognition.training.guard import Ground, Trial, Verdict, draw_trial, judge, listed_trial
from recognition.training.subjects import Subjects, split_people
from recognition.training.trainer import SILENT, Listener, train
from recognition.training.tuning import Prepared, TuneSettings, prepare, with_last_layers
from recognition.tuned import Tuned

FEWEST_LEARNT = 10
"""People to learn from: of fewer nothing can be told about others."""
_VALIDATION = 0.2  # of the people to learn from
_VALIDATIONS, _OFTENEST, _PATIENCE = 3, 25, 4
_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a fine-tune is made from.

    site: the site's people.
    general: people who stand for everybody else; None for none.
    samples: replayed where there is no general set.
    data: what they are called, for the record.
    general_pairs: of the general set, to measure on; its people are then never replayed. Drawn
        where there are none.
    first, second: patterns of the names of photos to compare on the site, "*" for all.
    """

    site: Subjects
    general: Subjects | None = None
    samples: Subjects | None = None
    data: str = ""
    general_pairs: Sequence[Pair] = ()
    first: str = "*"
    second: str = "*"


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The material, by what it is for; nobody is in two."""

    learn: Subjects
    validate: Subjects
    held_out: Subjects
    replay: Subjects | None
    replay_validate: Subjects | None
    general: Subjects | None


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The fine-tuned model, whether it may be handed over, and how it came about (for JSON)."""

    tuned: Tuned
    verdict: Verdict
    record: Mapping[str, object]


def parts_of(material: Material, *, held_out: float, seed: int) -> Parts:
    """Split site and general set by people.

    Args:
        held_out: share of the site's people, 0..1, on whom it is judged.

    Raises:
        DatasetError: too few people.
    """
    site = material.site
    several = {p for p in site.everybody if site.people.count(p) > 1}
    test, rest = split_people(several, [held_out], seed)
    validation, learn = split_people(rest, [_VALIDATION], seed)
    if len(learn) < FEWEST_LEARNT:
        raise DatasetError(
            f"A fine-tune needs at least {FEWEST_LEARNT} people with two photos or more to learn "
            f"from, beside those that it is measured on; of {len(site.everybody)} people there "
            f"are {len(learn)}. With fewer the model as it is serves better."
        )
    general, replay, watched = material.general, material.samples, None
    if general is not None:
        tested, others = _tested(general, material.general_pairs, seed)
        watch, shown = split_people(others, [_VALIDATION / 2], seed)
        replay, watched, general = general.of(shown), general.of(watch), general.of(tested)
    return Parts(site.of(learn), site.of(validation), site.of(test), replay, watched, general)


def _tested(general: Subjects, pairs: Sequence[Pair], seed: int) -> tuple[set[str], set[str]]:
    if not pairs:
        tested, others = split_people(general.everybody, [0.5], seed)
        return tested, others
    tested = {one.person for pair in pairs for one in (pair.first, pair.second)}
    return tested, set(general.everybody) - tested


def finetune(
    parent: Embedder,
    name: str,
    material: Material,
    parts: Parts,
    settings: TuneSettings,
    folder: Path,
    *,
    listener: Listener = SILENT,
) -> Outcome:
    """Train, measure and judge.

    Args:
        parent: run by torch in float32, on the CPU.
        name: by which the parent is loaded; the vectors of the material are its own.
        folder: of the run (`trainer.train`). Its checkpoints hold weights, nobody's face or vector.

    Raises:
        DatasetError: there is nothing that could be trained.
        DivergedError: the training came to values that are no numbers.
    """
    first = _first_of(parent, settings)
    hold_site = material.general is None or not (parts.replay and parts.replay.people)
    prepared = prepare(parts.learn, parts.replay, first, settings, hold_site=hold_site)
    watched = [part for part in (parts.validate, parts.replay_validate) if part is not None]
    config = TrainConfig(
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        warmup=min(20, settings.steps // 4),
        clip=5.0,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        validate_every=min(max(_OFTENEST, settings.steps // _VALIDATIONS), settings.steps),
        watch="separation",
        patience=_PATIENCE,
        prefetch=0,
        about=settings.to_json(),
    )
    validation = _Separation(first, settings, watched)
    learnt = train(
        prepared.tuning,
        prepared.batches,
        config,
        folder,
        validate=validation,
        listener=listener,
    )
    tuned = _tuned(prepared, first, parent, name, settings)
    record = {
        "settings": settings.to_json(),
        "data": prepared.batches.fingerprint,
        "steps": learnt.best_step,
        "people_learnt_from": len(parts.learn.everybody) + len(parts.validate.everybody),
        "people_replayed": 0 if parts.replay is None else len(parts.replay.everybody),
    }
    return Outcome(tuned, judged(tuned, first, material, parts), record)


def judged(tuned: Tuned, first: MobileFaceNet | None, material: Material, parts: Parts) -> Verdict:
    """Whether a fine-tuned model may be handed over, by the parts that it has not seen.

    Args:
        first: the parent's MobileFaceNet where that was fine-tuned, else None.
    """

    def ground(subjects: Subjects, trial: Trial) -> Ground:
        before = vectors_of(subjects, first, None)
        after = vectors_of(subjects, tuned.first, tuned.adapter)
        return Ground(subjects, before, after, trial)

    site = draw_trial(parts.held_out, first=material.first, second=material.second)
    general = None
    if parts.general is not None:
        listed = material.general_pairs
        trial = listed_trial(parts.general, listed) if listed else draw_trial(parts.general)
        general = ground(parts.general, trial)
    return judge(ground(parts.held_out, site), general, tuned.named("candidate"), material.data)


@torch.inference_mode()
def vectors_of(subjects: Subjects, first: MobileFaceNet | None, adapter: Adapter | None) -> Tensor:
    """(N, D) float32 of length 1, as the embedder gives them with these in their places.

    Args:
        first: None leaves the parent's.
    """
    vectors = subjects.vectors
    if first is not None:
        pieces = [embed(first, some.float()) for some in torch.split(subjects.faces, _BATCH)]
        own = torch.cat([*pieces, vectors.new_zeros((0, DIMENSION))])
        second = vectors[:, DIMENSION:]
        vectors = fuse(own, functional.normalize(second, dim=1)) if second.shape[1] else own
    if adapter is not None:
        vectors = adapter(vectors)
    return vectors


def _first_of(parent: Embedder, settings: TuneSettings) -> MobileFaceNet | None:
    if settings.what == "adapter":
        return None
    if not isinstance(parent.first, MobileFaceNet):
        raise DatasetError(
            f"{parent.model.name} has no MobileFaceNet whose blocks could be trained; train an "
            "adapter: --what adapter"
        )
    return parent.first


def _tuned(
    prepared: Prepared,
    first: MobileFaceNet | None,
    parent: Embedder,
    name: str,
    settings: TuneSettings,
) -> Tuned:
    net = prepared.tuning.net.eval().requires_grad_(requires_grad=False)
    if isinstance(net, Adapter):
        return Tuned(name, parent.model, adapter=net)
    if first is None:
        raise TypeError("layers without the network that they are of")
    layers = with_last_layers(first, net, settings.from_layer)
    return Tuned(name, parent.model, first=layers)


class _Separation:
    """How far apart scores of one person and of two lie, on people that are only watched.

    It decides which weights are kept. In it counts what the site gains, and what others lose.
    """

    def __init__(
        self, first: MobileFaceNet | None, settings: TuneSettings, watched: Sequence[Subjects]
    ) -> None:
        self._first, self._settings, self._watched = first, settings, watched
        self._before = [separation(vectors_of(part, first, None), part) for part in watched]

    def __call__(self, model: nn.Module) -> dict[str, float]:
        net = model.get_submodule("net")
        first, adapter = None, None
        if self._first is not None:
            first = with_last_layers(self._first, net, self._settings.from_layer)
        elif isinstance(net, Adapter):
            adapter = net
        after = [separation(vectors_of(part, first, adapter), part) for part in self._watched]
        gains = [new / old - 1 for new, old in zip(after, self._before, strict=True)]
        site, *others = gains
        return {"separation": site + min(0.0, *others, 0.0), "site": site, **_named(others)}


def _named(others: Sequence[float]) -> dict[str, float]:
    return {"general": others[0]} if others else {}


def separation(vectors: Tensor, subjects: Subjects) -> float:
    """d' of the scores: the means' distance over the root of the variances' mean; 1 for no pairs.

    Args:
        vectors: (N, D) of length 1.
    """
    labels = subjects.labels
    one, other = torch.triu_indices(len(labels), len(labels), 1)
    scores = (vectors @ vectors.T)[one, other].double()
    same = labels[one] == labels[other]
    genuine, impostor = scores[same], scores[~same]
    if len(genuine) < 2 or len(impostor) < 2:
        return 1.0
    spread = ((genuine.var() + impostor.var()) / 2).sqrt()
    return float((genuine.mean() - impostor.mean()) / spread.clamp(min=1e-9))
