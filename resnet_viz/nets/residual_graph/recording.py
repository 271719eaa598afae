"""The forward pass of a network that nobody watches: it hands the tensors of the blocks to a recorder.

Hooks need places that are called, and tensors that nothing overwrites. Where no hook is, neither is needed: this pass calls
the layers only, and its ReLUs overwrite a tensor that nothing else reads, as those of most networks do. Its numbers are those
of the pass with places, bit for bit.
"""

from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules import module as of_all_modules
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_viz.nets.blocks import Fork, ResidualBlock, Sum, may_overwrite
from resnet_viz.nets.residual_graph.activation_modules import FRESH
from resnet_viz.nets.residual_graph.operations import class_operation

_GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks", "_global_backward_pre_hooks")


class Recorder:
    """What a pass does at the places of the blocks: this one keeps nothing, and calls the places that somebody has changed."""

    def fork(self, block: ResidualBlock, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the input for the shortcut and for the residual branch."""
        fork = block.places["fork"]
        return (x, x) if _is_untouched(fork, Fork) else cast("tuple[Tensor, Tensor]", fork(x))

    def sum(self, block: ResidualBlock, identity: Tensor | None, residual: Tensor) -> Tensor:
        """Return the sum; a plain block has no identity."""
        places = block.places
        if not _is_untouched(places["residual"], nn.Identity):
            residual = places["residual"](residual)
        if identity is None:
            return residual if _is_untouched(places["sum"], nn.Identity) else cast("Tensor", places["sum"](residual))
        if not _is_untouched(places["shortcut"], nn.Identity):
            identity = places["shortcut"](identity)
        return cast("Tensor", places["sum"](identity, residual))

    def output(self, block: ResidualBlock, total: Tensor) -> Tensor:
        """Return the sum after its activation."""
        return rectify(block.places["output"], block.places["sum"], total)


def recording_graph(graph: fx.Graph, tree: nn.Module) -> fx.Graph:
    """Return the graph of the pass (pixels, recorder) -> logits, for a graph whose blocks have their places."""
    made = fx.Graph()
    nodes: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        given = [nodes[each] for each in node.all_input_nodes]
        owner, _, place = str(node.target).rpartition(".")
        if node.op != "call_module" or not isinstance(tree.get_submodule(owner), ResidualBlock):
            maker = _maker_of_overwritten(node, tree)
            if maker:
                relu, maker_node = made.get_attr(str(node.target)), made.get_attr(maker)
                nodes[node] = made.call_function(rectify, (relu, maker_node, *given))
            else:
                nodes[node] = made.node_copy(node, nodes.__getitem__)
            if node.op == "placeholder":
                recorder = made.placeholder("recorder")
        elif place in ("shortcut", "residual"):
            nodes[node] = given[0]
        else:
            # A plain block has no identity.
            none = [None] if place == "sum" and len(given) == 1 else []
            nodes[node] = made.call_method(place, (recorder, made.get_attr(owner), *none, *given))
    return made


def _maker_of_overwritten(node: fx.Node, tree: nn.Module) -> str:
    """Name the layer before a ReLU that may overwrite its input; "" for any other node."""
    if node.op != "call_module" or not may_overwrite(tree.get_submodule(str(node.target))):
        return ""
    (source,) = node.all_input_nodes
    # Where gradients get other strides, they have a hook behind the layer.
    return str(source.target) if source.op == "call_module" else ""


def rectify(relu: nn.Module, maker: nn.Module, x: Tensor) -> Tensor:
    """Call a ReLU, which overwrites its input x if neither it nor the layer or sum that made x was hooked or replaced."""
    own = _is_untouched(relu, nn.ReLU) and may_overwrite(relu)
    return torch.relu_(x) if own and _makes_new_tensor(maker) else cast("Tensor", relu(x))


def watches_everything() -> bool:
    """Whether somebody has put a hook on all modules that exist."""
    return any(getattr(of_all_modules, hooks) for hooks in _GLOBAL_HOOKS)


def may_be_recorded(network: nn.Module) -> bool:
    """Whether a twin's pass may run on the network itself: nothing is hooked, and a pass changes nothing.

    Weights are frozen, float32, and can be differentiated through; of the layers only batch norms have buffers, which they do
    not write to in evaluation mode.
    """
    if watches_everything():
        return False
    waiting = [network]
    while waiting:
        module = waiting.pop()
        own = vars(module)
        if own["training"] or _has_hooks(module) or (own["_buffers"] and not isinstance(module, _BatchNorm)):
            return False
        if isinstance(module, ResidualBlock) and not _has_own_places(module):
            return False
        for parameter in own["_parameters"].values():
            if parameter is not None and (
                parameter.requires_grad or parameter.dtype != torch.float32 or parameter.is_inference()
            ):
                return False
        waiting += [child for child in own["_modules"].values() if child is not None]
    return True


def _makes_new_tensor(maker: nn.Module) -> bool:
    """Whether the tensor that a layer returns may be overwritten: the input of no other layer, and kept by no hook."""
    makes_new = type(maker) is Sum or class_operation(maker) in FRESH
    return makes_new and not _has_hooks(maker) and "forward" not in vars(maker)


def _is_untouched(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is as it was made, so that nobody misses a call of it."""
    return type(module) is kind and not _has_hooks(module) and "forward" not in vars(module)


def _has_hooks(module: nn.Module) -> bool:
    own = vars(module)
    return bool(own["_forward_hooks"] or own["_forward_pre_hooks"] or own["_backward_hooks"] or own["_backward_pre_hooks"])


def _has_own_places(block: ResidualBlock) -> bool:
    plain = block.shortcut_kind == "none"
    kinds = {"fork": Fork, "residual": nn.Identity, "sum": nn.Identity if plain else Sum, "shortcut": nn.Identity}
    keeps_sum = not getattr(block.places["output"], "inplace", False)
    return keeps_sum and all(_is_untouched(place, kinds[name]) for name, place in block.places.items() if name in kinds)
