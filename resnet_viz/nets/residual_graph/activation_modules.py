"""Activations as modules of their own: methods such as DeepLift and Guided Backprop change them by hooks, one call a module."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import fx, nn

from resnet_viz.nets.residual_graph.copying import evaluation_copy
from resnet_viz.nets.residual_graph.operations import operation

_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Softplus,
    nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid,
)  # fmt: skip
# Those with one way to write them, by the name of their function.
_PLAIN: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "selu": nn.SELU, "silu": nn.SiLU, "mish": nn.Mish, "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh, "hardswish": nn.Hardswish, "hardsigmoid": nn.Hardsigmoid,
}  # fmt: skip
# Those with numbers, by the names of these and their usual values.
_WITH_NUMBERS: dict[str, tuple[Callable[..., nn.Module], dict[str, Any]]] = {
    "leakyrelu": (nn.LeakyReLU, {"negative_slope": 0.01}),
    "elu": (nn.ELU, {"alpha": 1.0}),
    "celu": (nn.CELU, {"alpha": 1.0}),
    "gelu": (nn.GELU, {"approximate": "none"}),
    "hardtanh": (nn.Hardtanh, {"min_val": -1.0, "max_val": 1.0}),
}
# What returns tensors of its own that its gradient does not need: an activation behind it may overwrite them.
_FRESH = {"conv2d", "conv1d", "conv3d", "linear", "batchnorm", "batchnorm2d", "groupnorm", "layernorm", "layernorm2d"}


def give_modules(graph: fx.Graph, tree: nn.Module) -> None:
    """Have every activation call a module that nothing else calls; a function's stands where the function is called."""
    calls: Counter[str] = Counter()
    for node in graph.nodes:
        if node.meta.get("in_place"):
            continue
        if is_activation_module(node, tree):
            target = str(node.target)
            calls[target] += 1
            if calls[target] > 1:
                # Not `copy.copy`, with which both would share their hooks.
                again = evaluation_copy(tree.get_submodule(target))
                node.target = _put(tree, target.rpartition(".")[0], target.rpartition(".")[2], again)
        elif node.op in ("call_function", "call_method"):
            _from_function(node, tree)


def is_activation_module(node: fx.Node, tree: nn.Module) -> bool:
    """Whether a node calls an activation of torch.nn that has no parameters."""
    return node.op == "call_module" and type(tree.get_submodule(str(node.target))) in _MODULES


def mark_overwritable(graph: fx.Graph, tree: nn.Module, watched: set[fx.Node]) -> None:
    """Tell every ReLU whether it may overwrite what it is given: nobody else uses it, and it is none of the `watched`."""
    for node in graph.nodes:
        if is_activation_module(node, tree) and isinstance(node.args[0], fx.Node):
            source = node.args[0]
            fresh = operation(source, tree) in _FRESH and len(source.users) == 1 and source not in watched
            tree.get_submodule(str(node.target)).may_overwrite = fresh  # type: ignore[assignment]


def _from_function(node: fx.Node, tree: nn.Module) -> None:
    name = operation(node, tree)
    # Another argument than these (out=, a tensor for a number) means another operation.
    rest = {key: value for key, value in node.kwargs.items() if key != "inplace"}
    values = [value for value in node.args[1:] if value is not False] if name in _PLAIN else list(node.args[1:])
    if name in _PLAIN and not values and not rest:
        module = _PLAIN[name]()
    elif name in _WITH_NUMBERS:
        make, usual = _WITH_NUMBERS[name]
        given = dict(zip(usual, values, strict=False)) | rest
        if set(given) - set(usual) or any(isinstance(value, fx.Node) for value in given.values()):
            return
        # ATen's elu takes two scales more, and a function's last argument may be `inplace`.
        if any(value not in (1, 1.0, False) for value in values[len(usual) :]):
            return
        module = make(**(usual | given))
    else:
        return
    module.training = False
    source = node.args[0] if node.args else None
    if isinstance(source, fx.Node):
        path = _put(tree, node.meta["path"], name, module)
        node.op, node.target, node.args, node.kwargs = "call_module", path, (source,), {}


def _put(tree: nn.Module, path: str, name: str, module: nn.Module) -> str:
    """Add a module at a path under a name that is free there, and return where it is."""
    owner = tree.get_submodule(path)
    number = 1
    while hasattr(owner, free := f"{name}_{number}"):
        number += 1
    owner.add_module(free, module)
    return f"{path}.{free}" if path else free
