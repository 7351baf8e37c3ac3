"""Weights in torch's old format are read without running them, and a hostile file is refused."""

from __future__ import annotations

import io
import struct
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recognition.torch_file import TorchFileError, read_tensors


def saved(value: object, *, zipped: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def state() -> OrderedDict[str, torch.Tensor]:
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).state_dict()  # type: ignore[return-value]


SOUND = saved(state())
# The three pickles before the state dict, which ends each with STOP.
HEAD = SOUND[: SOUND.index(b"\x80\x02ccollections")]
EMPTY_TAIL = b"\x80\x02]."


def test_every_tensor_is_read_as_it_was_written_and_in_order() -> None:
    expected = state()
    found = read_tensors(saved(expected))
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        assert torch.equal(found[name], values)


def test_tensors_that_share_a_storage_are_read() -> None:
    whole = torch.arange(12.0)
    found = read_tensors(saved({"a": whole[:6].reshape(2, 3), "b": whole[6:]}))
    assert torch.equal(found["a"], torch.arange(6.0).reshape(2, 3))
    assert torch.equal(found["b"], torch.arange(6.0, 12))


def program(*parts: bytes) -> bytes:
    """A file whose state dict is this pickle."""
    return HEAD + b"\x80\x02" + b"".join(parts) + b"." + EMPTY_TAIL


def call(name: bytes, argument: bytes) -> bytes:
    """GLOBAL, one text as its arguments, REDUCE."""
    return b"c" + name + b"X" + struct.pack("<I", len(argument)) + argument + b"\x85R"


@pytest.mark.parametrize(
    "name",
    [
        b"os\nsystem\n", b"posix\nsystem\n", b"builtins\neval\n", b"builtins\nexec\n",
        b"subprocess\nPopen\n", b"torch\nload\n", b"torch.hub\nload\n", b"numpy\nload\n",
        b"torch._utils\n_rebuild_tensor\n", b"torch.storage\n_load_from_bytes\n",
        b"builtins\ngetattr\n", b"collections\nOrderedDict.fromkeys\n", b"torch\nDoubleStorage\n",
    ],
)  # fmt: skip
def test_a_name_that_no_state_dict_has_is_refused_and_nothing_runs(
    tmp_path: Path, name: bytes
) -> None:
    witness = tmp_path / "witness"
    with pytest.raises(TorchFileError, match="no state dict has"):
        read_tensors(program(call(name, f"touch {witness}".encode())))
    assert not witness.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"(X\x02\x00\x00\x00idios\nsystem\n",  # INST
        b"(cos\nsystem\nX\x02\x00\x00\x00ido",  # OBJ
        b"\x82\x01",  # EXT1
        b"c__builtin__\nset\n)\x81",  # NEWOBJ
        b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93",  # STACK_GLOBAL
        b"P0\n",  # PERSID by text
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",  # BINBYTES8, far too long
        b"X\xff\xff\xff\x7fab",  # BINUNICODE, far too long
        b"Vtext\n",
        b"I1\n",
        b"\x95\x00\x00\x00\x00\x00\x00\x00\x00}",  # FRAME
    ],
)
def test_an_instruction_that_no_state_dict_needs_is_refused(body: bytes) -> None:
    with pytest.raises(TorchFileError):
        read_tensors(program(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"N",
        b"}}",
        b"]",
        b"R",
        b"0",
        b"u",
        b"t",
        b"h\x07",
        b"}K\x01K\x02s",
        b"}X\x01\x00\x00\x00aK\x02s",
        b"}N\x86b",
        b"NQ",
        b"ccollections\nOrderedDict\nK\x01\x85R",
        b"ccollections\nOrderedDict\n)RK\x01Nb",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))\x89NtR",
        b"]q\x00h\x00a",  # holds itself
    ],
)
def test_a_program_that_makes_no_state_dict_is_refused(body: bytes) -> None:
    with pytest.raises(TorchFileError):
        read_tensors(program(body))


def test_a_storage_that_is_too_short_for_its_tensor_is_refused() -> None:
    wide = saved({"a": torch.zeros(200)})
    shrunk = wide.replace(b"M\xc8\x00Nt", b"K\x05Nt") if b"M\xc8\x00Nt" in wide else None
    wrong = shrunk or wide.replace(b"K\xc8", b"K\x05", 1)
    assert wrong != wide
    with pytest.raises(TorchFileError):
        read_tensors(wrong)


def test_strides_that_read_elsewhere_are_refused() -> None:
    with pytest.raises(TorchFileError, match="contiguous"):
        read_tensors(saved({"a": torch.arange(6.0).reshape(2, 3).T}))


@pytest.mark.parametrize("value", [{"a": torch.zeros(2, dtype=torch.float64)}, [torch.zeros(2)], 7])
def test_what_is_no_dict_of_weights_is_refused(value: object) -> None:
    with pytest.raises(TorchFileError):
        read_tensors(saved(value))


def test_the_newer_format_is_refused() -> None:
    with pytest.raises(TorchFileError):
        read_tensors(saved(state(), zipped=True))


def test_something_behind_the_last_storage_is_refused() -> None:
    with pytest.raises(TorchFileError, match="follows"):
        read_tensors(SOUND + b"x")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(share: float) -> None:
    with pytest.raises(TorchFileError):
        read_tensors(SOUND[: int(len(SOUND) * share)])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SOUND) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_tensors_or_a_refusal_and_nothing_else(place: int, byte: int) -> None:
    changed = bytearray(SOUND)
    changed[place] = byte
    try:
        found = read_tensors(bytes(changed))
    except TorchFileError:
        return
    assert all(isinstance(values, torch.Tensor) for values in found.values())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
@example(b"}")  # a state dict without tensors
def test_any_program_gives_tensors_or_a_refusal_and_nothing_else(body: bytes) -> None:
    with pytest.raises(TorchFileError):
        read_tensors(program(body))
