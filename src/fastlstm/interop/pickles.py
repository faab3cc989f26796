"""Pickles as plain data: what a pickle would call is kept as the record of a call, and never looked up.

A pickle is a program for a small machine. This is that machine without its door to Python: a class or a
function is its name, a call is a name with arguments, an object is a call with a state. Only containers,
numbers, strings and bytes are real. So nothing that stands in a file can run.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_STEPS = 1 << 19
"""Instructions that a pickle may have; a module of a thousand LSTMs has 300,000."""


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names, as "collections.OrderedDict"."""

    full: str


@dataclass(eq=False)
class Call:
    """What calling something with these arguments would have given, and the state it would have got.

    Attributes
    ----------
    function : object
        A `Name`, or what stood in its place.
    arguments : object
        A tuple in any pickle that Python wrote.
    state : object
        None for none.
    items : dict
        What was set by key, as in an ordered dictionary.
    """

    function: Any
    arguments: Any
    state: Any
    items: dict[Any, Any]


@dataclass(frozen=True, eq=False)
class Persistent:
    """What a pickle refers to that lies beside it."""

    id: Any


class _Mark:
    """Where a container's items begin on the stack."""


MARK = _Mark()


def read(file: io.BytesIO, most: int = MOST_STEPS) -> Any:
    """Return what the pickle at a file's place says; the place is its end then.

    Raises
    ------
    ValueError
        If it is damaged, too long, or has instructions that PyTorch's pickles don't have.
    """
    machine = _Machine()
    try:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(file)):
            if count >= most:
                raise ValueError(f"expected at most {most} instructions, got more")
            if instruction.name == "STOP":
                return machine.pop()
            machine.step(instruction.name, argument)
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ValueError(f"pickle: expected one that is whole, got a damaged one ({error})") from error
    raise ValueError("pickle: expected one that is whole, got one without an end")


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        return self.stack.pop()

    def popped_to_mark(self) -> list[Any]:
        """Return what lies above the last mark, and take it and the mark away."""
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:
            at -= 1
            if at < 0:
                raise ValueError("a mark is missing")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def step(self, name: str, argument: Any) -> None:
        """Do one instruction."""
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in _FRESH:
            self.stack.append(_FRESH[name]())
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = self.stack[-1]
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"an instruction {name}")


def _is_hashable(key: Any) -> bool:
    return isinstance(key, (str, int, float, bytes, bool, type(None), Name, Call, Persistent)) or (
        isinstance(key, tuple) and all(isinstance(one, (str, int)) for one in key)
    )


def _set_items(target: Any, flat: list[Any]) -> None:
    """Set pairs of a list, key and value after another, in a dictionary or in what stands for one."""
    items = target.items if isinstance(target, Call) else target
    if not isinstance(items, dict) or len(flat) % 2:
        raise ValueError("items of no dictionary")
    for key, value in zip(flat[::2], flat[1::2], strict=True):
        if not _is_hashable(key):
            raise ValueError(f"a key of {type(key).__name__}")
        items[key] = value


def _extend(target: Any, items: list[Any]) -> None:
    """Add to a list, or to what stands for an object like one, of which nothing is wanted."""
    if isinstance(target, list):
        target.extend(items)
    elif not isinstance(target, Call):
        raise ValueError("items of no list")


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, argument: Any) -> None:
        machine.stack.append(tuple([machine.pop() for _ in range(count)][::-1]))

    return step


def _global(machine: _Machine, argument: Any) -> None:
    machine.stack.append(Name(str(argument).replace(" ", ".")))


def _stack_global(machine: _Machine, argument: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise ValueError("a name that is none")
    machine.stack.append(Name(f"{module}.{name}"))


def _reduce(machine: _Machine, argument: Any) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.stack.append(Call(function, arguments, None, {}))


def _build(machine: _Machine, argument: Any) -> None:
    state, target = machine.pop(), machine.stack[-1]
    if not isinstance(target, Call):
        raise ValueError(f"a state for {type(target).__name__}")
    target.state = state


def _persistent(machine: _Machine, argument: Any) -> None:
    machine.stack.append(Persistent(machine.pop()))


def _append(machine: _Machine, argument: Any) -> None:
    item = machine.pop()
    _extend(machine.stack[-1], [item])


def _appends(machine: _Machine, argument: Any) -> None:
    items = machine.popped_to_mark()
    _extend(machine.stack[-1], items)


def _set_item(machine: _Machine, argument: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine.stack[-1], [key, value])


def _set_all(machine: _Machine, argument: Any) -> None:
    flat = machine.popped_to_mark()
    _set_items(machine.stack[-1], flat)


def _dict(machine: _Machine, argument: Any) -> None:
    target: dict[Any, Any] = {}
    _set_items(target, machine.popped_to_mark())
    machine.stack.append(target)


_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "MARK": MARK}
_LITERALS = frozenset(
    [
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    ]
)
_FRESH: Mapping[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": list,  # whose items may be what no set of Python's takes
}
_STEPS: Mapping[str, Callable[[_Machine, Any], Any]] = {
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": lambda machine, argument: machine.stack.append(tuple(machine.popped_to_mark())),
    "LIST": lambda machine, argument: machine.stack.append(machine.popped_to_mark()),
    "FROZENSET": lambda machine, argument: machine.stack.append(machine.popped_to_mark()),
    "DICT": _dict,
    "APPEND": _append,
    "APPENDS": _appends,
    "ADDITEMS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_all,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "BUILD": _build,
    "BINPERSID": _persistent,
    "MEMOIZE": lambda machine, argument: machine.memo.__setitem__(len(machine.memo), machine.stack[-1]),
    "POP": lambda machine, argument: machine.stack.pop(),
    "POP_MARK": lambda machine, argument: machine.popped_to_mark(),
    "DUP": lambda machine, argument: machine.stack.append(machine.stack[-1]),
}
