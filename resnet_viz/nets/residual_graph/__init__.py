"""The residual blocks of any network, found in its graph and given places of their names.

`find_blocks(module, (3, 224, 224))` returns a network that computes the same, and `blocks_of` names its blocks.

A residual block need not be known by its class: wherever a network adds a tensor to something that it computed from that same
tensor, there is a fork, a shortcut, a residual branch and a sum (He et al. 2015, https://arxiv.org/abs/1512.03385, Fig. 2).
Reading order: copying.py, tracing.py, functionalising.py, activations.py, finding.py, choosing.py, rewriting.py, network.py.
"""

import threading
from collections.abc import Callable

import torch
from torch import Tensor, nn

from resnet_viz.nets.residual_graph.activations import give_modules
from resnet_viz.nets.residual_graph.choosing import choose_blocks
from resnet_viz.nets.residual_graph.copying import evaluation_copy, unwrapped
from resnet_viz.nets.residual_graph.finding import Hidden, find_additions
from resnet_viz.nets.residual_graph.functionalising import leave_inputs_alone, spell_out_additions
from resnet_viz.nets.residual_graph.measuring import measure_nodes
from resnet_viz.nets.residual_graph.network import BlockFacts, Findings, GraphBlock, ResidualNetwork
from resnet_viz.nets.residual_graph.operations import operation
from resnet_viz.nets.residual_graph.rewriting import place_blocks
from resnet_viz.nets.residual_graph.tracing import Logits, Trace, trace_with_export, trace_with_fx

__all__ = ["BlockFacts", "Findings", "GraphBlock", "Hidden", "ResidualNetwork", "find_blocks"]

# Traces in two threads would undo each other's changes to torch, and compare passes of different kernels.
_ONE_AT_A_TIME = threading.Lock()
# Two images: a network that is traced for a single number of them shows it.
IMAGES = 2


class NoResidualAdditionsError(ValueError):
    """A network that adds nothing to something computed from it; the message names what it does instead."""


def find_blocks(module: nn.Module, shape: tuple[int, ...]) -> ResidualNetwork:
    """Trace a module for images of a shape (C, H, W) and return a network whose residual blocks have named places.

    Works on a copy in evaluation mode that shares the weights' memory; the module, its mode and its hooks stay as they are, and
    its hooks do not run. The network's logits and input gradients are the module's own, bit for bit, and so are its parameters'
    names. DataParallel and torch.compile are looked through; of an output with several parts, the logits are taken.

    ValueError where the module cannot be run on such an image or cannot be traced, or has no residual additions.
    """
    with _ONE_AT_A_TIME:
        return _find_blocks(unwrapped(module), shape)


def _find_blocks(inner: nn.Module, shape: tuple[int, ...]) -> ResidualNetwork:
    pixels = _example(inner, shape)
    expected = _expected(inner, pixels)
    failures: list[str] = []
    tracers: dict[str, Callable[[nn.Module, Tensor], Trace]] = {"torch.fx": trace_with_fx, "torch.export": trace_with_export}
    for name, trace in tracers.items():
        try:
            network = _with_blocks(trace(evaluation_copy(inner), pixels), pixels)
        except NoResidualAdditionsError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's code and both tracers may raise anything
            failures.append(f"{name}: {type(error).__name__}: {_first_line(error)}")
            continue
        with torch.enable_grad():
            found = network(pixels.clone().requires_grad_()).detach()
        # On the meta device there is nothing to compare.
        if found.is_meta or _equal(found, expected, network):
            return network
        failures.append(f"{name}: the traced network's logits differ from the module's")
    raise ValueError(f"{type(inner).__name__} cannot be traced, so its blocks cannot be found. {'; '.join(failures)}")


def _with_blocks(trace: Trace, pixels: Tensor) -> ResidualNetwork:
    graph, tree = trace.graph, trace.tree
    exact = not spell_out_additions(graph, tree)
    leave_inputs_alone(graph, tree)
    give_modules(graph, tree)
    measure_nodes(graph, tree, pixels)
    blocks, hidden = choose_blocks(find_additions(graph, tree))
    if not blocks:
        raise NoResidualAdditionsError(_nothing_found(trace, hidden))
    place_blocks(graph, tree, blocks, IMAGES)
    last = next(node for node in reversed(graph.nodes) if node.op == "output").all_input_nodes[0]
    return ResidualNetwork(tree, graph, Findings(trace.tracer, last.meta["shape"][1:], tuple(hidden), exact))


def _example(module: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return images of noise on the module's device and in its precision."""
    tensors = [*module.parameters(), *module.buffers()]
    if any(nn.parameter.is_lazy(tensor) for tensor in tensors):
        raise ValueError(f"{type(module).__name__} has layers without weights yet: run it on an image once, then open it")
    like = next((tensor for tensor in tensors if tensor.is_floating_point()), torch.empty(0))
    noise = torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    return noise.to(like.device, like.dtype)


def _expected(module: nn.Module, pixels: Tensor) -> Tensor:
    """Return the module's own logits in evaluation mode; ValueError where it does not run on such images."""
    try:
        # Gradients as in the analyses: without, attention may take a way of its own that rounds differently.
        with torch.enable_grad():
            logits = Logits(evaluation_copy(module))(pixels.clone().requires_grad_())
    except Exception as error:
        size = "×".join(map(str, pixels.shape[1:]))
        raise ValueError(
            f"{type(module).__name__} does not run on an image of {size} ({type(error).__name__}: {_first_line(error)}). If it"
            " takes another size, hand over preprocessing=rv.Preprocessing(...) with it."
        ) from error
    if not isinstance(logits, Tensor):
        raise ValueError(  # noqa: TRY004 - what a person is told to expect of every module that cannot be opened
            f"the logits of {type(module).__name__} are a {type(logits).__name__}: return a tensor (N, classes)"
        )
    return logits.detach()


def _equal(found: Tensor, expected: Tensor, network: ResidualNetwork) -> bool:
    if found.shape != expected.shape:
        return False
    if torch.equal(found.nan_to_num(), expected.nan_to_num()):
        return True
    return not network.residual_findings.exact and torch.allclose(found, expected, rtol=1e-3, atol=1e-5)


def _nothing_found(trace: Trace, hidden: list[Hidden]) -> str:
    name = type(trace.tree).__name__
    additions = sum(operation(node, trace.tree) in ("add", "iadd") for node in trace.graph.nodes)
    concatenations = sum(operation(node, trace.tree) in ("cat", "concat") for node in trace.graph.nodes)
    layers = sum(node.op == "call_module" for node in trace.graph.nodes)
    what = f"its graph has {layers} layers, {additions} additions and {concatenations} concatenations"
    why = f", of which none is a block: {'; '.join(dict.fromkeys(each.reason for each in hidden))}" if hidden else ""
    return (
        f"{name} has no residual additions: nowhere does it add a tensor to something that it computed from that same tensor"
        f" ({what}{why}). Open a network with skip connections that add."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
