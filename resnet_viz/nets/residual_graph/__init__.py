"""The residual blocks of any network, found in its graph and given named places.

`find_blocks(module, (3, 224, 224))` returns a network that computes the same, and `blocks_of` names its blocks.

A residual block is not identified by its class: wherever a network adds a tensor to something that it computed from that same
tensor, there is a fork, a shortcut, a residual branch and a sum (He et al. 2015, https://arxiv.org/abs/1512.03385, Fig. 2).
Reading order: copying.py, tracing.py, functionalising.py, activation_modules.py, finding.py, choosing.py, plain.py,
rewriting.py, network.py. The places themselves are in nets/blocks.py.
"""

import threading
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from resnet_viz.nets.residual_graph.activation_modules import give_modules
from resnet_viz.nets.residual_graph.block_naming import block_names
from resnet_viz.nets.residual_graph.choosing import choose_blocks
from resnet_viz.nets.residual_graph.copying import evaluation_copy, unwrapped
from resnet_viz.nets.residual_graph.finding import Addition, Hidden, find_additions
from resnet_viz.nets.residual_graph.functionalising import leave_inputs_alone, spell_out_additions, take_any_memory_format
from resnet_viz.nets.residual_graph.measuring import measure_nodes
from resnet_viz.nets.residual_graph.network import Findings, ResidualNetwork
from resnet_viz.nets.residual_graph.nonlinearities import activations_of, without_modules
from resnet_viz.nets.residual_graph.operations import may_write, operation
from resnet_viz.nets.residual_graph.plain import find_plain_blocks
from resnet_viz.nets.residual_graph.rewriting import place_blocks
from resnet_viz.nets.residual_graph.sections import find_sections, is_chain
from resnet_viz.nets.residual_graph.tracing import Logits, Trace, trace_with_export, trace_with_fx

__all__ = ["Findings", "Hidden", "ResidualNetwork", "find_blocks"]

# Traces in two threads would undo each other's changes to torch, and compare passes of different kernels.
_ONE_AT_A_TIME = threading.Lock()
# Two images, because a network that is traced for one fixed number of images fails on two.
IMAGES = 2


class NoResidualAdditionsError(ValueError):
    """A network without residual additions; the message names what it has instead."""


def find_blocks(module: nn.Module, shape: tuple[int, ...]) -> ResidualNetwork:
    """Trace a module for images of a shape (C, H, W) and return a network with named places in its residual blocks.

    Works on a copy in evaluation mode that shares the weights' memory; the module, its mode and its hooks stay unchanged, and
    its hooks do not run. The network's logits and input gradients equal the module's bit for bit, and its parameters have the
    same names. DataParallel and torch.compile are unwrapped; of an output with several parts, the logits are used. A network
    whose blocks were found before is copied.

    ValueError if the module cannot be run on such an image, cannot be traced, or has no residual additions.
    """
    # Where the caller is in inference mode, nothing could be differentiated, and torch would hide what layers cost.
    with _ONE_AT_A_TIME, torch.inference_mode(mode=False):
        inner = unwrapped(module)
        if isinstance(inner, ResidualNetwork):
            # Its places would hide the names of its modules from a second trace.
            network = evaluation_copy(inner)
            assert isinstance(network, ResidualNetwork)  # noqa: S101 - for the type checker
            return network
        return _find_blocks(inner, shape)


def _find_blocks(inner: nn.Module, shape: tuple[int, ...]) -> ResidualNetwork:
    pixels = _example(inner, shape)
    # On the meta device there is nothing to compare, and a pass only shows why a trace failed.
    expected = None if pixels.is_meta else _expected(inner, pixels)
    failures: list[str] = []
    tracers: dict[str, Callable[[nn.Module, Tensor], Trace]] = {"torch.fx": trace_with_fx, "torch.export": trace_with_export}
    for name, trace in tracers.items():
        try:
            network = _with_blocks(trace(evaluation_copy(inner), pixels), pixels)
        except NoResidualAdditionsError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's code and both tracers may raise anything
            failures.append(f"{name}: {type(error).__name__}: {_first_line(error)}")
            if expected is None:
                _expected(inner, pixels)
            continue
        if expected is None or _equal(_logits(network, pixels), expected, network):
            return network
        failures.append(f"{name}: the traced network's logits differ from the module's")
    raise ValueError(f"{type(inner).__name__} cannot be traced, so its blocks cannot be found. {'; '.join(failures)}")


def _with_blocks(trace: Trace, pixels: Tensor) -> ResidualNetwork:
    graph, tree = trace.graph, trace.tree
    exact = not spell_out_additions(graph, tree)
    leave_inputs_alone(graph, tree)
    take_any_memory_format(graph)
    give_modules(graph, tree)
    measure_nodes(graph, tree, pixels)
    _erase_dead_ends(graph)
    blocks, hidden = choose_blocks(find_additions(graph, tree), IMAGES)
    blocks = _in_order(graph, [*blocks, *find_plain_blocks(graph, tree)])
    if not blocks:
        raise NoResidualAdditionsError(_nothing_found(trace, hidden))
    names = block_names(blocks, tree)
    findings = Findings(
        tracer=trace.tracer,
        output_shape=next(iter(reversed(graph.nodes))).all_input_nodes[0].meta["shape"][1:],
        hidden=tuple(hidden),
        exact=exact,
        sections=find_sections(graph, tree, blocks, names, IMAGES),
        chain=is_chain(graph, blocks),
        activations=activations_of(graph, tree),
        other_nonlinear=without_modules(graph, tree),
    )
    place_blocks(graph, tree, blocks, names, IMAGES)
    return ResidualNetwork(tree, graph, findings)


def _in_order(graph: fx.Graph, blocks: list[Addition]) -> list[Addition]:
    order = {node: number for number, node in enumerate(graph.nodes)}
    return sorted(blocks, key=lambda block: order[block.node])


def _erase_dead_ends(graph: fx.Graph) -> None:
    """Drop what the logits are not computed from, such as heads for training."""
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op not in ("placeholder", "output") and not may_write(node):
            graph.erase_node(node)


def _example(module: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return images of noise on the module's device and in its precision."""
    tensors = [*module.parameters(), *module.buffers()]
    if any(nn.parameter.is_lazy(tensor) for tensor in tensors):
        raise ValueError(f"{type(module).__name__} has layers without weights yet. Run it on an image once, then open it")
    like = next((tensor for tensor in tensors if tensor.is_floating_point()), torch.empty(0))
    noise = torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    return noise.to(like.device, like.dtype)


def _expected(module: nn.Module, pixels: Tensor) -> Tensor:
    """Return the module's own logits in evaluation mode; ValueError if it does not run on such images."""
    try:
        logits = _logits(Logits(evaluation_copy(module)), pixels)
    except Exception as error:
        size = "×".join(map(str, pixels.shape[1:]))
        raise ValueError(
            f"{type(module).__name__} does not run on an image of {size} ({type(error).__name__}: {_first_line(error)}). If "
            f"it takes another size, also pass preprocessing=rv.Preprocessing(...)."
        ) from error
    if not isinstance(logits, Tensor):
        raise ValueError(  # noqa: TRY004 - what a person is told to expect of every module that cannot be opened
            f"the logits of {type(module).__name__} are a {type(logits).__name__}. Return a tensor (N, classes)"
        )
    return logits


def _logits(network: nn.Module, pixels: Tensor) -> Tensor:
    # With gradients, as in the analyses: without them, attention may use another implementation that rounds differently.
    with torch.enable_grad():
        logits = network(pixels.clone().requires_grad_())
    return logits.detach() if isinstance(logits, Tensor) else logits


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
    why = f", none of which is a block: {'; '.join(dict.fromkeys(each.reason for each in hidden))}" if hidden else ""
    return (
        f"{name} has no residual additions: it never adds a tensor to something that it computed from that same tensor"
        f" ({what}{why}). Open a network with skip connections that add."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
