"""Fine-tuned embedders: what was learnt, and the embedder that it was learnt on top of.

Each lies among the imported models (`recognition.imported`), with the name and the SHA-256 of its
parent: it holds only what differs, an adapter or a MobileFaceNet in place of the parent's, and is
nothing without exactly that parent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from recognition.adapter import Adapter
from recognition.embed import MobileFaceNet
from recognition.imported import (
    BUILT_IN,
    Description,
    Feeding,
    broken,
    entries,
    pack,
    read_imported,
)
from recognition.types import ModelInfo
from recognition.weights import WeightsError

TUNED = "tuned"
_ADAPTER, _FIRST = "adapter.", "first."

Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What a fine-tune has come to; in evaluation mode.

    parent: the embedder's name.
    parent_model: what it is registered as.
    adapter: on its vectors; None for none.
    first: in place of its MobileFaceNet; None where that stayed.
    model: what the fine-tuned one is registered as; None before it has a name.
    """

    parent: str
    parent_model: ModelInfo
    adapter: Adapter | None = None
    first: MobileFaceNet | None = None
    model: ModelInfo | None = None

    def packed(self) -> bytes:
        """The content of its file."""
        hidden = 0 if self.adapter is None else self.adapter.hidden
        description = Description(
            TUNED,
            Feeding(),
            self.parent_model.dimension,
            parent=self.parent,
            parent_sha256=self.parent_model.sha256,
            hidden=hidden,
        )
        return pack(description, self._state())

    def named(self, name: str) -> ModelInfo:
        """What it is registered as under this name: the same weights give the same."""
        content = hashlib.sha256(self.packed()).hexdigest()
        words = f"{self.parent_model.sha256} {content}"
        sha256 = hashlib.sha256(words.encode()).hexdigest()
        licence = f"{self.parent_model.licence}, fine-tuned"[:200]
        return ModelInfo(name, sha256[:8], sha256, licence, self.parent_model.dimension)

    def _state(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = {}
        for prefix, net in ((_ADAPTER, self.adapter), (_FIRST, self.first)):
            if net is not None:
                found = net.state_dict().items()
                state |= {f"{prefix}{name}": value.cpu().contiguous() for name, value in found}
        return state


def load_tuned(models: Path, name: str) -> Tuned | None:
    """The fine-tuned embedder of this name; None if it is no fine-tuned one.

    Raises:
        WeightsError: its file was changed, or its parent is not here or another one.
    """
    entry = entries(models).get(name)
    if name in BUILT_IN or entry is None or "parent" not in entry:
        return None
    description, state, model = read_imported(models, name)
    try:
        parent = ModelInfo(**entry["parent"])
        if description.architecture != TUNED or parent.sha256 != description.parent_sha256:
            raise WeightsError(broken(models, name, "is of another parent"))
        if "parent" in entries(models).get(description.parent, {}):
            raise WeightsError(broken(models, name, "has a parent that is fine-tuned itself"))
        gated = any(key.startswith(f"{_ADAPTER}gate.") for key in state)
        fresh = Adapter(model.dimension, description.hidden, gated=gated)
        adapter = _filled(fresh, state, _ADAPTER)
        first = _filled(MobileFaceNet(), state, _FIRST)
    except (RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(broken(models, name, "is damaged or of another version")) from error
    return Tuned(description.parent, parent, adapter, first, model)


def _filled(net: Net, state: Mapping[str, Tensor], prefix: str) -> Net | None:
    own = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
    if not own:
        return None
    net.load_state_dict(own)
    net.eval().requires_grad_(requires_grad=False)
    return net
