"""An adapter changes an embedder's vectors, each by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recognition.adapter import Adapter


def vectors(count: int, dimension: int = 192, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, dimension, generator=random), dim=1)


KINDS = pytest.mark.parametrize(("hidden", "gated"), [(0, False), (16, False), (0, True)])


def learnt(hidden: int, dimension: int = 192, *, gated: bool = False) -> Adapter:
    """One that changes something."""
    torch.manual_seed(1)
    adapter = Adapter(dimension, hidden, gated=gated)
    for value in adapter.parameters():
        torch.nn.init.normal_(value, std=0.05)
    return adapter


@KINDS
def test_as_it_begins_it_changes_nothing(hidden: int, gated: bool) -> None:
    before = vectors(5)
    torch.testing.assert_close(Adapter(192, hidden, gated=gated)(before), before, rtol=0, atol=1e-7)


def test_a_linear_one_adds_a_matrix_product_and_brings_it_to_length_1() -> None:
    adapter, before = learnt(0), vectors(4)
    matrix = adapter.change.weight
    assert isinstance(matrix, Tensor)
    for one, after in zip(before, adapter(before), strict=True):
        by_hand = one + matrix @ one
        torch.testing.assert_close(after, by_hand / by_hand.norm(), rtol=0, atol=1e-6)


def test_a_gate_says_how_much_of_the_change_a_vector_gets() -> None:
    adapter, before = learnt(0, gated=True), vectors(4)
    matrix, gate = adapter.change.weight, adapter.gate
    assert isinstance(matrix, Tensor)
    assert gate is not None
    for one, after in zip(before, adapter(before), strict=True):
        by_hand = one + torch.sigmoid(10 * (gate.weight[0] @ one + gate.bias)) * (matrix @ one)
        torch.testing.assert_close(after, by_hand / by_hand.norm(), rtol=0, atol=1e-6)
    with torch.no_grad():
        gate.bias.fill_(-50)
    torch.testing.assert_close(adapter(before), before, rtol=0, atol=1e-7)


@KINDS
def test_a_vector_comes_out_the_same_bit_by_bit_in_whichever_batch(
    hidden: int, gated: bool
) -> None:
    adapter, before = learnt(hidden, gated=gated), vectors(67)
    together = adapter(before)
    for rows in (slice(0, 1), slice(3, 5), slice(10, 43), slice(66, 67)):
        assert torch.equal(adapter(before[rows]), together[rows])
    assert torch.equal(adapter(before.flip(0)).flip(0), together)


@KINDS
def test_its_gradient_is_that_of_finite_differences(hidden: int, gated: bool) -> None:
    adapter = learnt(hidden, dimension=6, gated=gated).double()
    before = vectors(3, dimension=6).double().requires_grad_()
    assert torch.autograd.gradcheck(adapter, before)


def test_none_of_no_vectors() -> None:
    assert learnt(0)(torch.zeros(0, 192)).shape == (0, 192)
