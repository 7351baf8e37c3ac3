"""Turns the published MiniFASNet files into the state dict of our pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recognition.minifasnet import MiniFasNetPair
from recognition.torch_file import TorchFileError, read_tensors

NEAR_FILE = "2.7_80x80_MiniFASNetV2.pth"
FAR_FILE = "4_0_0_80x80_MiniFASNetV1SE.pth"
_EPSILON = 1e-5  # that the batch normalisations were trained with


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A linear map with its batch normalisation folded in, or, without a bias, PReLU's slopes."""

    weight: Tensor
    bias: Tensor | None


def minifasnet_state(files: Mapping[str, bytes]) -> dict[str, Tensor]:
    """State of `MiniFasNetPair` from the two published files, by name, already checked.

    Raises:
        TorchFileError: a file is not one of them.
    """
    pair = MiniFasNetPair()
    fill(pair.near, read_tensors(files[NEAR_FILE]))
    fill(pair.far, read_tensors(files[FAR_FILE]))
    return pair.state_dict()


def fill(net: nn.Module, published: Mapping[str, Tensor]) -> None:
    """Copy published tensors, in order, into the layers of a network, in order.

    Raises:
        TorchFileError: they do not fit.
    """
    layers = list(folded(published))
    if len(layers) < 2:
        raise TorchFileError("too few layers")
    layers[-2:] = [_chained(layers[-2], layers[-1])]
    modules = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.PReLU)]
    if len(modules) != len(layers):
        raise TorchFileError(f"{len(layers)} layers where there should be {len(modules)}")
    for module, layer in zip(modules, layers, strict=True):
        _copy(module.weight, layer.weight)
        bias = getattr(module, "bias", None)
        if isinstance(bias, Tensor):
            _copy(bias, torch.zeros_like(bias) if layer.bias is None else layer.bias)


def folded(published: Mapping[str, Tensor]) -> Iterator[Folded]:
    """The layers of a published state dict, each normalisation folded into what is before it."""
    entries = list(published.items())
    place = 0
    while place < len(entries):
        _, weight = entries[place]
        norm = dict(_norm_after(entries, place + 1))
        place += 1 + len(norm)
        yield _fold(weight, norm) if norm else Folded(weight, None)


_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _norm_after(entries: Sequence[tuple[str, Tensor]], place: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a batch normalisation that starts at `place`, by their last names."""
    following = entries[place : place + len(_NORM)]
    parts = [name.rpartition(".") for name, _ in following]
    if [last for _, _, last in parts] == list(_NORM) and len({p[0] for p in parts}) == 1:
        yield from zip(_NORM, (values for _, values in following), strict=True)


def _fold(weight: Tensor, norm: Mapping[str, Tensor]) -> Folded:
    # In float64, so that folding adds no rounding of its own.
    scale = norm["weight"].double() / (norm["running_var"].double() + _EPSILON).sqrt()
    if scale.shape != weight.shape[:1]:
        raise TorchFileError("a normalisation does not fit its layer")
    bias = norm["bias"].double() - norm["running_mean"].double() * scale
    outwards = scale.reshape(-1, *[1] * (weight.dim() - 1))
    return Folded((weight.double() * outwards).float(), bias.float())


def _chained(first: Folded, second: Folded) -> Folded:
    """Two linear layers with nothing between them as one."""
    try:
        weight = second.weight.double() @ first.weight.double()
        bias = None if first.bias is None else (second.weight.double() @ first.bias.double())
    except RuntimeError as error:
        raise TorchFileError("the last layers do not fit each other") from error
    return Folded(weight.float(), None if bias is None else bias.float())


def _copy(target: Tensor, values: Tensor) -> None:
    if target.shape != values.shape:
        raise TorchFileError(f"a layer has shape {tuple(values.shape)}, not {tuple(target.shape)}")
    with torch.no_grad():
        target.copy_(values)
