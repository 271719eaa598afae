"""The stack machine that a pickle is a program for, without anything that imports or calls.

On its stack are plain values, lists, tuples, dicts by text, tensors that are views of the file, and stand-ins for all classes,
functions and objects. A budget bounds how many steps it makes and how many objects it holds.
"""

from collections.abc import Callable
from dataclasses import dataclass

from resnet_viz.nets.checkpoints.constructions import constructed, restored
from resnet_viz.nets.checkpoints.errors import CheckpointError, damaged
from resnet_viz.nets.checkpoints.values import Global, Span, StandIn, key_text

MOST_STEPS = 2_000_000
MOST_OBJECTS = 800_000
LONGEST_LINE = 1_000


@dataclass
class Budget:
    """What all pickles of one file may still spend: steps of the machine, and objects that take memory."""

    steps: int = MOST_STEPS
    objects: int = MOST_OBJECTS

    def spend(self, objects: int) -> None:
        """Use memory for a number of objects of about a hundred bytes; CheckpointError if the budget is used up."""
        self.objects -= objects
        if self.objects < 0:
            raise _too_large()

    def spend_steps(self, steps: int) -> None:
        """Use a number of steps; CheckpointError if the budget is used up."""
        self.steps -= steps
        if self.steps < 0:
            raise _too_large()


def _too_large() -> CheckpointError:
    return CheckpointError(
        "The checkpoint holds far more objects in addition to its tensors than a network has. Save only model.state_dict(), "
        "without logs or data."
    )


class StackMachine:
    """Stack, marks and memo, and what the opcodes do with them; `position` is where the next byte of `data` is read.

    `resolve` turns a persistent id, torch's way to name a storage, into an object.
    """

    def __init__(self, data: bytes, position: int, stop: int, resolve: Callable[[object], object], budget: Budget) -> None:
        self.data = data
        self.position = position
        self.stop = stop
        self.budget = budget
        self.stack: list[object] = []
        self._marks: list[int] = []
        self._memo: list[object] = []
        self._globals: dict[bytes, Global] = {}
        self._resolve = resolve

    # Marks, the memo and the stack

    def mark(self) -> None:
        """Remember how high the stack is."""
        self._marks.append(len(self.stack))

    def since_mark(self) -> list[object]:
        """Take what was pushed since the last mark."""
        place = self._marks.pop()
        items = self.stack[place:]
        del self.stack[place:]
        return items

    def pop(self) -> None:
        """Drop the topmost value, or a mark that nothing was pushed after."""
        if self._marks and self._marks[-1] == len(self.stack):
            self._marks.pop()
        else:
            self.stack.pop()

    def duplicate(self) -> None:
        """Push the topmost value once more."""
        self.stack.append(self.stack[-1])

    def remember(self, index: int) -> None:
        """Put the topmost value into the memo."""
        memo = self._memo
        missing = index - len(memo)
        if missing > 0:
            self.budget.spend(missing)
            memo.extend([None] * missing)
        if missing >= 0:
            memo.append(self.stack[-1])
        else:
            memo[index] = self.stack[-1]

    def memoize(self) -> None:
        """Put the topmost value into the memo's next place."""
        self._memo.append(self.stack[-1])

    def recall(self, index: int) -> None:
        """Push a value of the memo."""
        self.stack.append(self._memo[index])

    # Containers

    def new_list(self) -> None:
        """Push an empty list; a set is one as well."""
        self.budget.spend(1)
        self.stack.append([])

    def new_dict(self) -> None:
        """Push an empty dict."""
        self.budget.spend(1)
        self.stack.append({})

    def tuple_of(self, length: int) -> None:
        """Replace the topmost values by a tuple of them."""
        self.budget.spend(1)
        items = tuple(self.stack[-length:])
        if len(items) < length:
            raise IndexError("stack underflow")
        self.stack[-length:] = [items]

    def tuple_since_mark(self) -> None:
        """Replace what was pushed since the mark by a tuple of it."""
        self.budget.spend(1)
        self.stack.append(tuple(self.since_mark()))

    def list_since_mark(self) -> None:
        """Replace what was pushed since the mark by a list of it."""
        self.budget.spend(1)
        self.stack.append(self.since_mark())

    def dict_since_mark(self) -> None:
        """Replace what was pushed since the mark by a dict of it."""
        items = self.since_mark()
        self.new_dict()
        self._set_items(items)

    def append(self) -> None:
        """Append the topmost value to the list below it."""
        item = self.stack.pop()
        self._extend([item])

    def appends(self) -> None:
        """Append what was pushed since the mark to the list below it."""
        self._extend(self.since_mark())

    def _extend(self, items: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, StandIn):
            if target.elements is None:
                target.elements = []
            target.elements.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise damaged("something is appended to what is no list")

    def set_item(self) -> None:
        """Put the two topmost values, key and value, into the dict below them."""
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def set_items(self) -> None:
        """Put what was pushed since the mark, keys and values in turn, into the dict below it."""
        self._set_items(self.since_mark())

    def _set_items(self, items: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, StandIn):
            if target.entries is None:
                target.entries = {}
            target = target.entries
        if not isinstance(target, dict):
            raise damaged("an entry is put into what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            name = key if type(key) is str else _checked_key(key)
            if name is not None:
                target[name] = value

    # Classes, functions and objects, none of which is looked up

    def line(self) -> bytes:
        """Return the line that stands here, and go on after it."""
        end = self.data.find(b"\n", self.position, min(self.stop, self.position + LONGEST_LINE))
        if end < 0:
            raise damaged("a name in it has no end")
        found = self.data[self.position : end]
        self.position = end + 1
        return found

    def global_(self, module: bytes, name: bytes) -> Global:
        """Return the stand-in of a class or function."""
        key = module + b"." + name
        found = self._globals.get(key)
        if found is None:
            self.budget.spend(1 + len(key) // 100)
            found = self._globals[key] = Global(modern_name(key.decode("utf-8", "replace")))
        return found

    def global_from_stack(self) -> None:
        """Push the stand-in of a class or function whose module and name are on the stack."""
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise damaged("the name of a class in it is no text")
        self.stack.append(self.global_(module.encode(), name.encode()))

    def call(self, arguments: object, keywords: object = None) -> None:
        """Replace the topmost value, a class or function, by what stands for its result."""
        self.budget.spend(2)
        self.stack[-1] = constructed(self.stack[-1], arguments, keywords, self.budget.spend_steps)

    def reduce(self) -> None:
        """Replace a class or function and a tuple of arguments by what stands for the result of the call."""
        self.call(self.stack.pop())

    def call_with_keywords(self) -> None:
        """Replace a class with positional and keyword arguments by what stands for the new object."""
        keywords, arguments = self.stack.pop(), self.stack.pop()
        self.call(arguments, keywords)

    def instance(self) -> None:
        """Make an instance of a class that is named here, with what was pushed since the mark."""
        class_ = self.global_(self.line(), self.line())
        arguments = tuple(self.since_mark())
        self.stack.append(class_)
        self.call(arguments)

    def object_(self) -> None:
        """Make an instance of the class that was pushed after the mark, with what was pushed after it."""
        class_, *arguments = self.since_mark()
        self.stack.append(class_)
        self.call(tuple(arguments))

    def build(self) -> None:
        """Give an object its state."""
        state = self.stack.pop()
        self.budget.spend(1)
        restored(self.stack[-1], state)

    def persistent(self) -> None:
        """Replace a persistent id by the object that has it."""
        self.stack[-1] = self._resolve(self.stack[-1])

    def extension(self, size: int) -> None:
        """Push a stand-in for a class from the registry of extensions, which is not looked at."""
        self.position += size
        self.budget.spend(1)
        self.stack.append(Global("a class of the extension registry"))


# Python 2's names, and those that numpy has given up.
RENAMED = (("__builtin__.", "builtins."), ("copy_reg.", "copyreg."), ("numpy.core.", "numpy._core."))


def modern_name(name: str) -> str:
    """Return today's name of a class or function."""
    for old, new in RENAMED:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _checked_key(key: object) -> str | None:
    if isinstance(key, Span):
        raise CheckpointError(
            f"A name in the checkpoint has {key.stop - key.start:,} bytes, more than the name of any tensor. The file is "
            f"damaged, or is not a checkpoint of a network."
        )
    return key_text(key)
