"""A pickle's opcodes, interpreted without importing, calling or building anything of the file's own.

Python's pickle is a program for a stack machine; https://docs.python.org/3/library/pickletools.html describes each opcode. What
an opcode reads is bounded by the length of the file, and what it makes by the machine's budget.
"""

import codecs
import re
from collections.abc import Callable
from struct import Struct
from struct import error as StructError

from resnet_viz.nets.checkpoints.errors import damaged
from resnet_viz.nets.checkpoints.stack_machine import Budget, StackMachine
from resnet_viz.nets.checkpoints.values import Span, StandIn

LONGEST_TEXT = 2_000
LONGEST_NUMBER = 16
STOP = ord(".")
# Python imports a codec when it is first used: at the start, not while a file is read.
ESCAPES = codecs.lookup("raw-unicode-escape")

Handler = Callable[[StackMachine], None]


def read_pickle(data: bytes, start: int, stop: int, resolve: Callable[[object], object], budget: Budget) -> tuple[object, int]:
    """Return the object that the pickle from `start` describes, and the position after the pickle, at most `stop`.

    `resolve` turns a persistent id, torch's way to name a storage, into an object. CheckpointError for a pickle that is damaged
    or over the budget.
    """
    machine = StackMachine(data, start, stop, resolve, budget)
    try:
        _run(machine)
        result = machine.stack.pop()
    except (IndexError, StructError, ValueError, OverflowError) as error:
        raise damaged("a pickle in it breaks off or contradicts itself") from error
    if machine.position > stop:
        raise damaged("a pickle in it breaks off")
    return result, machine.position


def _run(machine: StackMachine) -> None:
    data, handlers, steps = machine.data, HANDLERS, machine.budget.steps
    for step in range(steps + 1):
        code = data[machine.position]
        machine.position += 1
        if code == STOP:
            machine.budget.spend_steps(step)
            return
        handlers[code](machine)
    machine.budget.spend_steps(steps + 1)


def _number(layout: str) -> Handler:
    """Return the handler of an opcode that is followed by one number."""
    struct = Struct(layout)
    size, unpack = struct.size, struct.unpack_from

    def push(machine: StackMachine) -> None:
        machine.stack.append(unpack(machine.data, machine.position)[0])
        machine.position += size

    return push


def _constant(value: object) -> Handler:
    def push(machine: StackMachine) -> None:
        machine.stack.append(value)

    return push


def _sized(layout: str, take: Callable[[StackMachine, int, int], object]) -> Handler:
    """Return the handler of an opcode that is followed by a length and that many bytes, which `take` turns into a value."""
    struct = Struct(layout)
    size, unpack = struct.size, struct.unpack_from

    def push(machine: StackMachine) -> None:
        start = machine.position + size
        length = unpack(machine.data, machine.position)[0]
        stop = start + length
        if length < 0 or stop > machine.stop:
            raise damaged("a text or number in it is longer than the file")
        machine.stack.append(take(machine, start, stop))
        machine.position = stop

    return push


def _text(machine: StackMachine, start: int, stop: int) -> object:
    if stop - start > LONGEST_TEXT:
        return Span(machine.data, start, stop)
    machine.budget.spend(1)
    # A lone surrogate becomes a replacement character, as nothing can write or show it.
    return machine.data[start:stop].decode("utf-8", "replace")


def _raw(machine: StackMachine, start: int, stop: int) -> object:
    if stop - start > LONGEST_TEXT:
        return Span(machine.data, start, stop)
    machine.budget.spend(1)
    return machine.data[start:stop]


def _old_text(machine: StackMachine, start: int, stop: int) -> object:
    """Python 2 has one type for text and bytes: what is not UTF-8 stays bytes."""
    if stop - start > LONGEST_TEXT:
        return Span(machine.data, start, stop)
    machine.budget.spend(1)
    raw = machine.data[start:stop]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _long(machine: StackMachine, start: int, stop: int) -> object:
    if stop - start > LONGEST_NUMBER:
        return StandIn("a number of many digits")
    return int.from_bytes(machine.data[start:stop], "little", signed=True)


def _text_number(machine: StackMachine) -> None:
    text = machine.line()
    if text in (b"00", b"01"):
        machine.stack.append(text == b"01")
    elif len(text) > 3 * LONGEST_NUMBER:
        machine.stack.append(StandIn("a number of many digits"))
    else:
        machine.stack.append(int(text.rstrip(b"L")))


def _text_float(machine: StackMachine) -> None:
    machine.stack.append(float(machine.line()))


ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _quoted(machine: StackMachine) -> None:
    """Python 2's protocol 0 writes text as its source code would."""
    machine.budget.spend(1)
    body = machine.line().strip()[1:-1]
    raw = ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()) if match[1] else ESCAPED.get(match[2], match[2]), body)
    machine.stack.append(raw.decode("utf-8", "replace"))


def _escaped(machine: StackMachine) -> None:
    machine.budget.spend(1)
    text, _ = ESCAPES.decode(machine.line())
    machine.stack.append(text.encode("utf-8", "replace").decode())


def _named_global(machine: StackMachine) -> None:
    machine.stack.append(machine.global_(machine.line(), machine.line()))


def _skip(size: int) -> Handler:
    def skip(machine: StackMachine) -> None:
        machine.position += size

    return skip


def _indexed(layout: str, act: Callable[[StackMachine, int], None]) -> Handler:
    """Return the handler of an opcode that is followed by a place in the memo."""
    struct = Struct(layout)
    size, unpack = struct.size, struct.unpack_from

    def handle(machine: StackMachine) -> None:
        index = unpack(machine.data, machine.position)[0]
        machine.position += size
        act(machine, index)

    return handle


def _line_index(act: Callable[[StackMachine, int], None]) -> Handler:
    def handle(machine: StackMachine) -> None:
        index = int(machine.line()[:LONGEST_NUMBER])
        if index < 0:
            raise IndexError(index)
        act(machine, index)

    return handle


def _line_persistent(machine: StackMachine) -> None:
    machine.stack.append(machine.line().decode("utf-8", "replace"))
    machine.persistent()


def _drop_since_mark(machine: StackMachine) -> None:
    machine.since_mark()


def _unknown(machine: StackMachine) -> None:
    raise damaged(f"byte {machine.position - 1:,} is no instruction of a pickle")


def _tuple(length: int) -> Handler:
    return lambda machine: machine.tuple_of(length)


def _extension(size: int) -> Handler:
    return lambda machine: machine.extension(size)


OPCODES: dict[int | str, Handler] = {
    # Frames and protocols
    0x80: _skip(1), 0x95: _skip(8),
    # Numbers and constants
    "J": _number("<i"), "K": _number("<B"), "M": _number("<H"), "G": _number(">d"), "I": _text_number, "L": _text_number,
    "F": _text_float, 0x8A: _sized("<B", _long), 0x8B: _sized("<i", _long),
    "N": _constant(None), 0x88: _constant(value=True), 0x89: _constant(value=False), ")": _constant(()),
    # Text and bytes
    "X": _sized("<I", _text), 0x8C: _sized("<B", _text), 0x8D: _sized("<Q", _text), "V": _escaped,
    "U": _sized("<B", _old_text), "T": _sized("<i", _old_text), "S": _quoted,
    "B": _sized("<I", _raw), "C": _sized("<B", _raw), 0x8E: _sized("<Q", _raw), 0x96: _sized("<Q", _raw),
    # Stack and memo
    "(": StackMachine.mark, "0": StackMachine.pop, "1": _drop_since_mark, "2": StackMachine.duplicate,
    "q": _indexed("<B", StackMachine.remember), "r": _indexed("<I", StackMachine.remember),
    "p": _line_index(StackMachine.remember), 0x94: StackMachine.memoize,
    "h": _indexed("<B", StackMachine.recall), "j": _indexed("<I", StackMachine.recall), "g": _line_index(StackMachine.recall),
    # Containers
    "]": StackMachine.new_list, "}": StackMachine.new_dict, 0x8F: StackMachine.new_list,
    0x85: _tuple(1), 0x86: _tuple(2), 0x87: _tuple(3), "t": StackMachine.tuple_since_mark,
    "l": StackMachine.list_since_mark, "d": StackMachine.dict_since_mark, 0x91: StackMachine.list_since_mark,
    "a": StackMachine.append, "e": StackMachine.appends, 0x90: StackMachine.appends,
    "s": StackMachine.set_item, "u": StackMachine.set_items,
    # Classes, functions and objects
    "c": _named_global, 0x93: StackMachine.global_from_stack, "R": StackMachine.reduce, 0x81: StackMachine.reduce,
    0x92: StackMachine.call_with_keywords, "i": StackMachine.instance, "o": StackMachine.object_, "b": StackMachine.build,
    "P": _line_persistent, "Q": StackMachine.persistent, 0x82: _extension(1), 0x83: _extension(2), 0x84: _extension(4),
}  # fmt: skip
HANDLERS = [OPCODES.get(code, OPCODES.get(chr(code), _unknown)) for code in range(256)]
