"""Reads the tensors of a file that `torch.save` wrote, without unpickling it.

Such a file holds pickles, and a pickle is a program: whoever loads it runs what its author wrote.
Here the program is only read, by a machine of our own that knows the few instructions of a state
dict and four names. It imports nothing, calls nothing and makes nothing but numbers, texts,
containers and tensors, so the worst that a hostile file can be is refused.

Only the format before torch 1.6 is known: five pickles, of which the fourth is the state dict and
the fifth the storages' keys, then for each storage its length and its values, little-endian.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

_DTYPES: dict[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch LongStorage": np.dtype("<i8"),
}
_ORDERED_DICT = "collections OrderedDict"
_REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
_NAMES = {*_DTYPES, _ORDERED_DICT, _REBUILD_TENSOR}


class TorchFileError(ValueError):
    """Not a plain state dict in the old format of torch."""


@dataclass(frozen=True, slots=True)
class _Name:
    """One of `_NAMES`. Only a word: nothing is looked up or imported."""

    text: str


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: np.dtype[Any]
    key: str
    length: int


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor to be: a contiguous part of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]


def read_tensors(content: bytes) -> dict[str, Tensor]:
    """The tensors of a state dict by name, in the file's order.

    Args:
        content: the whole file. Check its SHA-256 first: that it is harmless does not make it
            the right one.

    Raises:
        TorchFileError: anything but a dict of contiguous float32 and int64 tensors.
    """
    try:
        return _read_file(BytesIO(content))
    except TorchFileError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise TorchFileError(f"damaged: {error}") from error


def _read_file(file: BytesIO) -> dict[str, Tensor]:
    if _read(file) != MAGIC or _read(file) != PROTOCOL:
        raise TorchFileError("not in the format of torch before 1.6")
    _read(file)  # the writing machine's byte order and sizes
    state, keys = _read(file), _read(file)
    storages = _read_storages(file, keys, _wanted(state))
    return {name: _tensor(view, storages) for name, view in state.items()}


def _wanted(state: Any) -> dict[str, _Storage]:
    """The storages that a state dict's tensors lie in, by key."""
    if type(state) is not dict or not all(type(view) is _View for view in state.values()):
        raise TorchFileError("not a dict of tensors")
    if not state:
        raise TorchFileError("there are no tensors")
    storages: dict[str, _Storage] = {}
    for view in state.values():
        if storages.setdefault(view.storage.key, view.storage) != view.storage:
            raise TorchFileError("a storage is described in two ways")
    return storages


def _read_storages(
    file: BytesIO, keys: Any, wanted: dict[str, _Storage]
) -> dict[str, np.ndarray[Any, Any]]:
    if type(keys) is not list or len(keys) != len(set(keys)) or set(keys) != set(wanted):
        raise TorchFileError("the storages are not those of the tensors")
    storages = {}
    for key in keys:
        storage = wanted[key]
        if int.from_bytes(file.read(8), "little") != storage.length:
            raise TorchFileError("a storage has another length than its tensors say")
        content = file.read(storage.length * storage.dtype.itemsize)
        storages[key] = np.frombuffer(content, storage.dtype, storage.length)
    if file.read(1):
        raise TorchFileError("something follows the last storage")
    return storages


def _tensor(view: _View, storages: dict[str, np.ndarray[Any, Any]]) -> Tensor:
    values = storages[view.storage.key][view.offset : view.offset + math.prod(view.shape)]
    return torch.from_numpy(values.reshape(view.shape).copy())


_MARK = object()


@dataclass(slots=True)
class _Machine:
    """What a pickle builds: a stack of values and a memo of them."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise TorchFileError("a mark is missing")
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def pack(self, count: int) -> None:
        if len(self.stack) < count:
            raise TorchFileError("the stack is too short")
        start = len(self.stack) - count
        self.stack[start:] = [tuple(self.stack[start:])]

    def call(self) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if name == _Name(_ORDERED_DICT) and arguments == ():
            self.push({})
        elif name == _Name(_REBUILD_TENSOR) and type(arguments) is tuple:
            self.push(_view(*arguments))
        else:
            raise TorchFileError("a call that a state dict has no need of")

    def store(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(pairs) % 2:
            raise TorchFileError("an entry without a dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if type(key) is not str:
                raise TorchFileError("a key that is no text")
            target[key] = value

    def extend(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise TorchFileError("an item without a list")
        self.stack[-1].extend(values)

    def drop_attributes(self) -> None:
        """A state dict carries its format's version as an attribute; nothing here needs it."""
        self.stack.pop()
        if type(self.stack[-1]) is not dict:
            raise TorchFileError("attributes of something that has none")

    def persistent(self) -> None:
        match self.stack.pop():
            case ("storage", _Name() as name, str(key), str(), int(length), None) if (
                name.text in _DTYPES and length >= 0
            ):
                dtype: np.dtype[Any] = _DTYPES[name.text]
                self.push(_Storage(dtype, key, length))
            case _:
                raise TorchFileError("a reference to something that is no storage")


def _view(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _View:
    whole = (offset, *shape, *strides)
    if type(storage) is not _Storage or not all(type(n) is int and n >= 0 for n in whole):
        raise TorchFileError("a tensor without a storage or shape")
    contiguous = [math.prod(shape[place + 1 :]) for place in range(len(shape))]
    if list(strides) != contiguous or offset + math.prod(shape) > storage.length:
        raise TorchFileError("a tensor that is no contiguous part of its storage")
    return _View(storage, offset, tuple(shape))


def _name(machine: _Machine, text: Any) -> None:
    if text not in _NAMES:
        raise TorchFileError(f"the name {str(text)[:80]!r}, which no state dict has")
    machine.push(_Name(text))


_Step = Callable[[_Machine, Any], None]
_PUSH: _Step = lambda machine, value: machine.push(value)  # noqa: E731
_PUT: _Step = lambda machine, place: machine.memo.__setitem__(place, machine.stack[-1])  # noqa: E731
_GET: _Step = lambda machine, place: machine.push(machine.memo[place])  # noqa: E731

_STEPS: dict[str, _Step] = {
    "PROTO": lambda _, __: None,
    "MARK": lambda machine, _: machine.push(_MARK),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(value=True),
    "NEWFALSE": lambda machine, _: machine.push(value=False),
    "BININT": _PUSH,
    "BININT1": _PUSH,
    "BININT2": _PUSH,
    "LONG1": _PUSH,
    "BINUNICODE": _PUSH,
    "BINPUT": _PUT,
    "LONG_BINPUT": _PUT,
    "BINGET": _GET,
    "LONG_BINGET": _GET,
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.pack(1),
    "TUPLE2": lambda machine, _: machine.pack(2),
    "TUPLE3": lambda machine, _: machine.pack(3),
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.store([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, _: machine.store(machine.since_mark()),
    "GLOBAL": _name,
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.drop_attributes(),
    "BINPERSID": lambda machine, _: machine.persistent(),
}


def _read(file: BytesIO) -> Any:
    """The value of one pickle, read up to its end."""
    machine = _Machine()
    # genops names the instructions one by one and runs none.
    for instruction, argument, _ in pickletools.genops(file):
        if instruction.name == "STOP":
            break
        step = _STEPS.get(instruction.name)
        if step is None:
            raise TorchFileError(f"the instruction {instruction.name}, which no state dict has")
        step(machine, argument)
    (value,) = machine.stack
    return value
