"""From a module to the graph of its operations: torch.fx, or torch.export for modules that torch.fx cannot trace.

torch.fx runs the module's Python code on proxies and keeps its layers as modules; it fails if the code reads a tensor's shape
or values. torch.export runs it on tensors without memory, can follow such code, and leaves only ATen's functions. Both change
torch for every thread while they run: one trace at a time. Passes of other threads continue; while torch.export runs, which
switches oneDNN off for seconds, their results differ by rounding. oneDNN cannot stay on: with its kernels, torch.export assumes
a fixed number of images.
"""

import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal, cast

import torch
from torch import Tensor, fx, nn

from resnet_viz.nets.residual_graph.copying import trial_copy
from resnet_viz.nets.source_code import Call

TracerName = Literal["torch.fx", "torch.export"]
_PREFIX = "module."
# Files of the calls between a module and its tracer.
_PLUMBING = (__file__, nn.Module.__call__.__code__.co_filename)
_FX = str(Path(fx.__file__).parent)
_LOCATION = re.compile(r'^ *File "(.+)", line (\d+), in (.+)$', re.MULTILINE)
# Leaf modules of torch.nn that contain additions.
_OPENED = (nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


class OutputError(ValueError):
    """An output in which the logits of each image cannot be identified; the message says what it is instead."""


@dataclass(frozen=True, eq=False)
class Trace:
    """A graph, the module tree that its nodes name, and the tracer; a node's `meta["path"]` is the module around it.

    `meta["calls"]` are the lines of code that led to the node, from the network's own forward pass to the innermost;
    torch.export records those of forward passes only.
    """

    graph: fx.Graph
    tree: nn.Module
    tracer: TracerName


def logits_of(output: Any) -> Any:  # noqa: ANN401 - whatever a network returns, tensors or their stand-ins
    """Return the logits in a network's output: a tensor, the first of several, or the one called "logits".

    OutputError for an output without identifiable logits.
    """
    if isinstance(output, Tensor | fx.Proxy):
        return output
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if found is not None:
        return found
    entries = [entry for entry in output if entry is not None] if isinstance(output, tuple | list) else []
    if entries:
        return logits_of(entries[0])
    if isinstance(output, Mapping) and len(output) == 1:
        return logits_of(next(iter(output.values())))
    names = f" with {', '.join(map(str, output))}" if isinstance(output, Mapping) else ""
    raise OutputError(
        f"the network returns a {type(output).__name__}{names}, in which no logits were found. Return a tensor (N, classes), "
        f"or an object or a dict with `logits`"
    )


class Logits(nn.Module):
    """Wraps a network so that only its logits are returned."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> Any:  # noqa: ANN401 - a tensor, or its stand-in while it is traced
        """(N, C, H, W) -> logits."""
        return logits_of(self.module(pixels))


def trace_with_fx(module: nn.Module, _: Tensor) -> Trace:
    """Trace by torch.fx, whatever it raises.

    Where the code decides by the values of a buffer, or counts in one, buffers are read during the trace.
    """
    try:
        tracer = _Tracer()
        graph = tracer.trace(Logits(module))
    except Exception:  # noqa: BLE001 - a user's code may raise anything when it gets a stand-in for a buffer
        # The first trace may have left stand-ins in the module.
        module = trial_copy(module)
        tracer = _TracerWithConstants()
        graph = tracer.trace(Logits(module))
    tracer.runs.clear()
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr"):
            node.target = str(node.target).removeprefix(_PREFIX)
        stack = list(node.meta.get("nn_module_stack", {}).values())
        path = _inside(str(stack[-1][0])) if stack else ""
        node.meta = {"path": path.rpartition(".")[0] if node.op == "call_module" else path, "calls": node.meta["calls"]}
    # Constants that the code created are stored on the tracer's root.
    for name, value in vars(tracer.root).items():
        if isinstance(value, Tensor):
            _rename(graph, name, _keep(module, value))
    return Trace(graph, module, "torch.fx")


class _Tracer(fx.Tracer):
    """torch.fx's tracer, without effects on the modules of other threads: while it runs, they are called through it.

    What the code computes from buffers is a part of the graph, so that a later change of a buffer has an effect.
    """

    proxy_buffer_attributes = True

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        # Every run of a function so far. They are kept, because a frame that has gone may have the number of a later one.
        self.runs: dict[int, FrameType] = {}

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:  # noqa: ANN401 - as in torch
        node = super().create_node(*args, **kwargs)
        node.meta["calls"] = self._running_calls()
        return node

    def _running_calls(self) -> tuple[Call, ...]:
        """The calls from the network's forward pass to here, without those of the tracer."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect` reads files, which takes long for every node
        found = []
        while frame is not None and frame.f_code is not Logits.forward.__code__:
            code = frame.f_code
            if not _is_plumbing(code):
                self.runs[id(frame)] = frame
                found.append(Call(code.co_filename, code.co_name, frame.f_lineno, code.co_firstlineno, str(id(frame))))
            frame = frame.f_back
        return tuple(reversed(found))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) and not isinstance(m, _OPENED)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:  # noqa: ANN401 - as in torch
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:  # noqa: ANN401 - as in torch
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


class _TracerWithConstants(_Tracer):
    """Computes what depends on buffers alone while it traces."""

    proxy_buffer_attributes = False


def trace_with_export(module: nn.Module, pixels: Tensor) -> Trace:
    """Trace by torch.export for any number of images, whatever it raises."""
    batch = torch.export.Dim("batch", min=1, max=2**16)
    program = torch.export.export(Logits(module), (pixels,), dynamic_shapes=({0: batch},), strict=False)
    exported = program.module(check_guards=False)
    graph = fx.Graph()
    result = graph.graph_copy(exported.graph, {})
    graph.output(result[0] if isinstance(result, tuple | list) else result)
    _enter_without_autocast(graph, exported)
    for node in graph.nodes:
        stack = list(node.meta.get("nn_module_stack", {}).values())
        path = _inside(str(stack[-1][0])) if stack else ""
        node.meta = {"path": path, "calls": _recorded_calls(node)} | _value(node)
        if node.op == "get_attr":
            node.target = _attribute(exported, module, str(node.target))
    _leave_batch_open(graph)
    _erase_checks(graph)
    return Trace(graph, module, "torch.export")


def _enter_without_autocast(graph: fx.Graph, exported: nn.Module) -> None:
    """Replace calls of parts that run with autocast switched off, which changes nothing here, by what they compute."""
    for node in list(graph.nodes):
        if node.target is not torch.ops.higher_order.wrap_with_autocast or node.args[2] is not False:
            continue
        name, *given = cast("list[fx.Node]", node.args[4:])
        part = cast("fx.GraphModule", exported.get_submodule(str(name.target)))
        entries = (inner for inner in part.graph.nodes if inner.op == "placeholder")
        with graph.inserting_before(node):
            results: Any = graph.graph_copy(part.graph, dict(zip(entries, given, strict=True)))
        for user in list(node.users):
            user.replace_all_uses_with(results[user.args[1]])
            graph.erase_node(user)
        graph.erase_node(node)
        graph.erase_node(name)


def _is_plumbing(code: CodeType) -> bool:
    return code.co_filename in _PLUMBING or code.co_filename.startswith(_FX) or code.co_name.startswith("<")


def _recorded_calls(node: fx.Node) -> tuple[Call, ...]:
    """The calls in the text that torch.export records: the forward passes of the modules around a node."""
    found = [place for place in _LOCATION.findall(node.meta.get("stack_trace") or "") if place[0] not in _PLUMBING]
    # The first module is the wrapper. Each call of a module has a key of its own.
    runs = list(node.meta.get("nn_module_stack", {}))[1:]
    if len(runs) != len(found):
        return ()
    return tuple(Call(file, function, int(line), run=run) for (file, line, function), run in zip(found, runs, strict=True))


def _inside(path: str) -> str:
    """Turn a path of the wrapper into the module's own."""
    return "" if path == "module" else path.removeprefix(_PREFIX)


def _value(node: fx.Node) -> dict[str, Any]:
    return {"val": node.meta["val"]} if "val" in node.meta else {}


def _attribute(exported: nn.Module, module: nn.Module, target: str) -> str:
    """Return where the module keeps a tensor of the exported one; constants that it does not have are added to it."""
    place = target.removeprefix(_PREFIX)
    try:
        owner: Any = module.get_submodule(place.rpartition(".")[0])
        if isinstance(getattr(owner, place.rpartition(".")[2]), Tensor):
            return place
    except AttributeError:
        pass
    value: Any = exported
    for name in target.split("."):
        value = getattr(value, name)
    if not isinstance(value, Tensor):
        raise TypeError("a part of its forward pass that runs under `torch.autocast` or `torch.no_grad()` cannot be entered")
    return _keep(module, value)


def _keep(module: nn.Module, constant: Tensor) -> str:
    """Add a constant to a module so that it moves along with it but stays out of its state dict; return its name."""
    number = 0
    while hasattr(module, name := f"traced_constant_{number}"):
        number += 1
    module.register_buffer(name, constant.detach(), persistent=False)
    return name


def _rename(graph: fx.Graph, old: str, new: str) -> None:
    for node in graph.nodes:
        if node.op == "get_attr" and node.target == old:
            node.target = new


def _leave_batch_open(graph: fx.Graph) -> None:
    """Let every reshape infer the number of images: a pass may gain images between two blocks."""
    for node in graph.nodes:
        if node.target not in (torch.ops.aten.view.default, torch.ops.aten.reshape.default):
            continue
        sizes = list(node.args[1])
        unknown = [index for index, size in enumerate(sizes) if isinstance(size, fx.Node)]
        if len(unknown) == 1 and -1 in sizes and isinstance(known := node.meta["val"].shape[sizes.index(-1)], int):
            sizes[sizes.index(-1)] = known
        if len(unknown) == 1 and -1 not in sizes:
            sizes[unknown[0]] = -1
            node.args = (node.args[0], sizes)


def _erase_checks(graph: fx.Graph) -> None:
    """Remove assertions about sizes that were true while tracing."""
    checks = ("_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range", "sym_constrain_range_for_size")
    for node in reversed(list(graph.nodes)):
        name = getattr(getattr(node.target, "overloadpacket", None), "__name__", str(node.target))
        if name in checks or (node.op == "call_module" and name.startswith("_guards")):
            graph.erase_node(node)
