"""The residual blocks of any network, found in its graph and given named places.

`find_blocks(module, (3, 224, 224))` returns a network that computes the same, and `blocks_of` names its blocks.

A residual block is not identified by its class: wherever a network adds a tensor to something that it computed from that same
tensor, there is a fork, a shortcut, a residual branch and a sum (He et al. 2015, https://arxiv.org/abs/1512.03385, Fig. 2).
Reading order: copying.py, tracing.py, checking.py, memory_sharing.py, functionalising.py, spelling.py, activation_modules.py,
finding.py, gathering.py, choosing.py, plain.py, rewriting.py, recording.py, compiling.py, network.py, failures.py. The places
themselves are in nets/blocks.py.
"""

import inspect
import threading
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from resnet_viz.nets.residual_graph.activation_modules import give_modules
from resnet_viz.nets.residual_graph.block_naming import block_names
from resnet_viz.nets.residual_graph.checking import (
    NotCopiedError,
    PlaceWatch,
    TrialRun,
    changed_weight,
    copies_only,
    departure,
    mixes_images,
    scatters_images,
    trial_run,
)
from resnet_viz.nets.residual_graph.choosing import choose_blocks
from resnet_viz.nets.residual_graph.copying import evaluation_copy, separate_copy, share_buffers, trial_copy, unwrapped
from resnet_viz.nets.residual_graph.failures import first_line, line_of, quiet_errors, reason_of
from resnet_viz.nets.residual_graph.finding import Addition, Hidden, find_additions
from resnet_viz.nets.residual_graph.functionalising import leave_inputs_alone, take_any_memory_format
from resnet_viz.nets.residual_graph.gathering import gather_residuals
from resnet_viz.nets.residual_graph.gradient_strides import guard_norms
from resnet_viz.nets.residual_graph.measuring import measure_nodes
from resnet_viz.nets.residual_graph.network import Findings, ResidualNetwork
from resnet_viz.nets.residual_graph.nonlinearities import activations_of, without_modules
from resnet_viz.nets.residual_graph.operations import may_write, operation
from resnet_viz.nets.residual_graph.plain import find_plain_blocks
from resnet_viz.nets.residual_graph.rewriting import place_blocks
from resnet_viz.nets.residual_graph.sections import find_sections, is_chain
from resnet_viz.nets.residual_graph.spelling import (
    drop_zeros,
    spell_out_additions,
    spell_out_fused_additions,
    turn_subtractions,
)
from resnet_viz.nets.residual_graph.tracing import OutputError, Trace, trace_with_export, trace_with_fx

__all__ = ["Findings", "Hidden", "NoResidualAdditionsError", "ResidualNetwork", "find_blocks"]

# Traces in two threads would undo each other's changes to torch, and compare passes of different kernels.
_ONE_AT_A_TIME = threading.Lock()
# Two images, because a network that is traced for one fixed number of images fails on two.
IMAGES = 2


class NoResidualAdditionsError(ValueError):
    """A network without residual additions; the message names what it has instead."""


def find_blocks(module: nn.Module, shape: tuple[int, ...]) -> ResidualNetwork:
    """Trace a module for images of a shape (C, H, W) and return a network with named places in its residual blocks.

    Works on a copy in evaluation mode that shares the weights' memory; the module, its mode and its hooks stay unchanged, and
    its hooks do not run. The network's logits and input gradients equal the module's bit for bit, except where `Findings.exact`
    says otherwise and where torch's own gradients are wrong (gradient_strides.py). Its parameters have the same names.
    DataParallel and torch.compile are unwrapped; of an output with several parts, the logits are used. A network whose blocks
    were found before is copied.

    ValueError if the module cannot be run on such an image, cannot be traced, has no residual additions, or answers differently
    about an image if another one is in the same batch. TypeError for anything but a module.
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
    own = None if pixels.is_meta else _own_answers(inner, pixels)
    failures: dict[str, Exception | str] = {}
    tracers: dict[str, Callable[[nn.Module, Tensor], Trace]] = {"torch.fx": trace_with_fx, "torch.export": trace_with_export}
    for name, trace in tracers.items():
        try:
            with quiet_errors():
                traced = trace(trial_copy(inner), pixels)
            network = _with_blocks(traced, pixels)
            departs = "" if own is None else _departure(network, own)
        except NoResidualAdditionsError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's code and both tracers may raise anything
            failures[name] = error
            if own is None:
                _own_answers(inner, pixels)
            continue
        if not departs:
            if own is not None and scatters_images(network, pixels):
                raise ValueError(
                    f"{type(inner).__name__} runs several versions of each image through its blocks at once. Open the network"
                    " inside, which takes one"
                )
            share_buffers(network, evaluation_copy(inner))
            return network
        failures[name] = departs
    if own is not None:
        _refuse_randomness(inner, own)
    raise ValueError(f"{type(inner).__name__} cannot be traced, so its blocks cannot be found. {reason_of(failures)}.")


def _departure(network: ResidualNetwork, own: TrialRun) -> str:
    """Say in what the traced network departs from its module or from the definition of a block, or return ""."""
    watch = PlaceWatch()
    found = trial_run(network, own.pixels.detach(), watch)
    return departure(found, own, exact=network.residual_findings.exact) or watch.disturbed()


def _with_blocks(trace: Trace, pixels: Tensor) -> ResidualNetwork:
    graph, tree = trace.graph, trace.tree
    drop_zeros(graph, tree)
    exact = not spell_out_additions(graph, tree)
    leave_inputs_alone(graph, tree)
    exact = not spell_out_fused_additions(graph, tree) and exact
    take_any_memory_format(graph)
    give_modules(graph, tree)
    measure_nodes(graph, tree, pixels)
    _erase_dead_ends(graph)
    subtracted = turn_subtractions(graph, tree)
    exact = not gather_residuals(graph, tree) and exact
    additions, overwritten = find_additions(graph, tree)
    blocks, hidden = choose_blocks(additions, IMAGES)
    hidden = [*overwritten, *subtracted, *hidden]
    blocks = _in_order(graph, [*blocks, *find_plain_blocks(graph, tree)])
    if not blocks:
        raise NoResidualAdditionsError(_nothing_found(trace, hidden))
    names = block_names(blocks, tree)
    findings = Findings(
        tracer=trace.tracer,
        image_shape=tuple(pixels.shape[1:]),
        output_shape=next(iter(reversed(graph.nodes))).all_input_nodes[0].meta["shape"][1:],
        hidden=tuple(hidden),
        exact=exact,
        sections=find_sections(graph, tree, blocks, names, IMAGES),
        chain=is_chain(graph, blocks),
        activations=activations_of(graph, tree),
        other_nonlinear=without_modules(graph, tree),
    )
    place_blocks(graph, tree, blocks, names, IMAGES)
    guard_norms(graph, tree)
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
    """Return images of noise on the module's device and in its precision; the second is brighter and has more contrast.

    Two alike would hide that a network computes with the mean over its images.
    """
    tensors = [*module.parameters(), *module.buffers()]
    like = next((tensor for tensor in tensors if tensor.is_floating_point()), torch.empty(0, dtype=torch.float32, device="cpu"))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(IMAGES, *shape, generator=generator, dtype=torch.float32, device="cpu")
    noise[1] = 5 * noise[1] + 2
    return noise.to(like.device, like.dtype)


def _own_answers(module: nn.Module, pixels: Tensor) -> TrialRun:
    """Return the module's own answers in evaluation mode; ValueError if it does not run on such images, or mixes them."""
    name = type(module).__name__
    # Its weights are the caller's, and a forward pass may write to them.
    copy = module if pixels.is_meta else separate_copy(module)
    try:
        with copies_only():
            found = trial_run(copy, pixels)
    except OutputError:
        raise
    except NotCopiedError as error:
        raise ValueError(f"{name} cannot be opened: {error}") from None
    except Exception as error:
        size = "×".join(map(str, pixels.shape[1:]))
        raise ValueError(
            f"{name} does not run on an image of {size} ({type(error).__name__}:"
            f" {first_line(error)}{line_of(error)}). {_what_to_do(module)}"
        ) from error
    changed = "" if pixels.is_meta else changed_weight(copy, module)
    if changed:
        raise ValueError(
            f"The forward pass of {name} writes to its weight {changed}, so opening it and every analysis would change your"
            " weights. Constrain the weight after each training step, or use torch.nn.utils.parametrize, which computes it"
        )
    if not pixels.is_meta and mixes_images(found):
        _refuse_randomness(module, found)
        raise ValueError(
            f"{name} answers differently about an image when another image is in the same batch, so its analyses, which run"
            " several versions of an image at once, would be wrong. Look for batch norms without running statistics, means over"
            " the axis of images, and code that depends on the number of images"
        )
    return found


def _refuse_randomness(module: nn.Module, answers: TrialRun) -> None:
    """Raise ValueError if the module answers something else the second time."""
    if not torch.equal(trial_run(module, answers.pixels.detach()).together.nan_to_num(), answers.together.nan_to_num()):
        raise ValueError(
            f"{type(module).__name__} answers something else every time, in evaluation mode too: look for dropout or noise that"
            " does not depend on `self.training`"
        )


def _what_to_do(module: nn.Module) -> str:
    """Say what to change about a module that does not run on images (N, 3, H, W)."""
    wrap = "Open a module around it that takes images (N, 3, H, W) and passes on what it needs."
    needed = [
        each
        for each in inspect.signature(module.forward).parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if len(needed) > 1 or any(each.kind is each.KEYWORD_ONLY for each in needed):
        return f"Its forward pass needs {', '.join(each.name for each in needed)}. {wrap}"
    types = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in module.parameters() if tensor.is_floating_point()})
    if len(types) > 1:
        return (
            f"Its weights are {' and '.join(types)}: cast what each layer gets to the type of its weights, in both directions."
        )
    first = next((layer for layer in module.modules() if isinstance(layer, nn.Conv2d)), None)
    if first is not None and first.in_channels != 3:
        return f"Its first convolution takes {first.in_channels} channels, and an image has 3. {wrap}"
    return "If it takes another size, also pass preprocessing=rv.Preprocessing(...)."


def _nothing_found(trace: Trace, hidden: list[Hidden]) -> str:
    name = type(trace.tree).__name__
    additions = sum(operation(node, trace.tree) in ("add", "iadd") for node in trace.graph.nodes)
    concatenations = sum(operation(node, trace.tree) in ("cat", "concat") for node in trace.graph.nodes)
    layers = sum(node.op == "call_module" for node in trace.graph.nodes)
    what = f"its graph has {layers} layers, {additions} additions and {concatenations} concatenations"
    why = f", none of which is a block: {'; '.join(dict.fromkeys(each.reason for each in hidden))}" if hidden else ""
    return (
        f"{name} has no residual additions: no place was found where it adds, by `+`, `torch.add` or the like, a tensor to one"
        f" of the same shape that it computed from it ({what}{why}). Open a network with skip connections that add."
    )
