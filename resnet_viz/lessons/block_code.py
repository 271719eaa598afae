"""A residual block's own code, and the tensor that each of its lines computes.

For the layers of a ResNet, the code is torchvision's, and each line is assigned to a step by the layer that it calls. For any
other network it is the code that ran when the network's graph was traced; the graph knows which line each operation came from.
The code is read as text and is not run.
"""

import ast
import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torchvision
from PIL import Image
from torchvision.models import resnet as torchvision_resnet

from resnet_viz.lessons.block_steps import Walk, walk, walk_places
from resnet_viz.nets.blocks import BlockPlace, FunctionLines
from resnet_viz.nets.known_layers import has_known_layers
from resnet_viz.nets.net import Net
from resnet_viz.nets.source_code import SourceMissingError, read_function

BlockKind = Literal["BasicBlock", "Bottleneck"]
PLACES: tuple[BlockPlace, ...] = get_args(BlockPlace)


@dataclass(frozen=True)
class SourceLine:
    """A line of a file: its number in the file and its text.

    `makes` are the steps whose tensor it computes, in order, and `parts` the parts of the block that it helps to compute.
    """

    number: int
    text: str
    makes: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class FunctionCode:
    """The code of a function: its name with module and class, its package with version, and its lines."""

    title: str
    package: str
    lines: tuple[SourceLine, ...]


@dataclass(frozen=True, eq=False)
class BlockCode:
    """A block's tensors and the functions that compute them; if there are none, `missing` says why.

    The first function contains the whole block. If it calls another one to add, that one follows.
    """

    walk: Walk
    functions: tuple[FunctionCode, ...]
    missing: str = ""

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes, and of the text."""
        return self.walk.nbytes + sum(len(line.text) for function in self.functions for line in function.lines)


def block_code(net: Net, image: Image.Image, block: str) -> BlockCode:
    """Run one forward pass and read the code of a block; ValueError for a block that the network does not have."""
    if has_known_layers(net.module):
        walked = walk(net, image, block)
        kind: BlockKind = "Bottleneck" if walked.kind == "Bottleneck" else "BasicBlock"
        return BlockCode(walked, (forward_source(kind),))
    walked = walk_places(net, image, block)
    found = net.blocks[block].facts.code
    if not found:
        return BlockCode(walked, (), "the tracer did not record which lines compute it")
    try:
        return BlockCode(walked, tuple(_function(each, walked, whole=each is found[0]) for each in found))
    except SourceMissingError as error:
        return BlockCode(walked, (), str(error))


def forward_source(kind: BlockKind) -> FunctionCode:
    """Read the forward pass of a block from the installed torchvision, and assign each line to the step that it computes."""
    forward = getattr(torchvision_resnet, kind).forward
    texts, first = inspect.getsourcelines(forward)
    made = _made_by_line("".join(texts))
    lines = tuple(
        SourceLine(first + number, text, (made[number],) if number in made else ())
        for number, text in enumerate(textwrap.dedent("".join(texts)).rstrip().splitlines())
    )
    return FunctionCode(f"torchvision.models.resnet.{kind}.forward", f"torchvision {torchvision.__version__}", lines)


def _function(found: FunctionLines, walked: Walk, *, whole: bool) -> FunctionCode:
    """The code of a function with its steps; `whole` says whether it contains the whole block."""
    text = read_function(found.call)
    lines = textwrap.dedent("".join(text.lines)).rstrip().splitlines()
    placed = list(found.lines)
    # A tensor that the function does not compute is its argument.
    if whole and not any(place == "x" for _, place, _ in placed):
        head = next(number for number, line in enumerate(lines) if line.startswith(("def ", "async def ")))
        placed.append((text.first + head, "x", True))
    return FunctionCode(
        text.name,
        text.package,
        tuple(_line(number, line, placed, walked) for number, line in enumerate(lines, start=text.first)),
    )


def _line(number: int, text: str, placed: Sequence[tuple[int, BlockPlace, bool]], walked: Walk) -> SourceLine:
    here = {place: computes for line, place, computes in placed if line == number}
    parts = tuple(place for place in PLACES if place in here)
    return SourceLine(number, text, tuple(place for place in parts if here[place] and place in walked.names), parts)


def _made_by_line(source: str) -> dict[int, str]:
    """The step that each line computes, keyed by the line's number from 0 and found by the layer that the line calls."""
    tree = ast.parse(textwrap.dedent(source))
    statements = [each for each in ast.walk(tree) if isinstance(each, ast.Assign | ast.AugAssign | ast.Return)]
    statements.sort(key=lambda statement: statement.lineno)
    called = [_layer_called(statement) for statement in statements]
    made: dict[int, str] = {}
    relus = 0
    for statement, layer in zip(statements, called, strict=True):
        name = {"downsample": "identity"}.get(layer, layer)
        if layer == "relu":
            relus += 1
            name = "output" if relus == called.count("relu") else f"relu{relus}"
        elif isinstance(statement, ast.AugAssign):
            name = "sum"
        elif isinstance(statement, ast.Return):
            name = "output"
        elif isinstance(statement.value, ast.Name):
            name = statement.value.id
        made |= dict.fromkeys(range(statement.lineno - 1, statement.end_lineno or statement.lineno), name)
    return made


def _layer_called(statement: ast.stmt) -> str:
    calls = (each.func for each in ast.walk(statement) if isinstance(each, ast.Call))
    return next((call.attr for call in calls if isinstance(call, ast.Attribute)), "")
