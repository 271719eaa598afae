"""Activations as separate modules: methods such as DeepLift and Guided Backprop hook them, one call per module."""

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
_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
# Activations without parameters, by the name of their function.
_PLAIN: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "selu": nn.SELU, "silu": nn.SiLU, "mish": nn.Mish, "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh, "hardswish": nn.Hardswish, "hardsigmoid": nn.Hardsigmoid,
}  # fmt: skip
# Activations with parameters, by the names and default values of these.
_WITH_NUMBERS: dict[str, tuple[Callable[..., nn.Module], dict[str, Any]]] = {
    "leakyrelu": (nn.LeakyReLU, {"negative_slope": 0.01}),
    "elu": (nn.ELU, {"alpha": 1.0}),
    "celu": (nn.CELU, {"alpha": 1.0}),
    "gelu": (nn.GELU, {"approximate": "none"}),
    "hardtanh": (nn.Hardtanh, {"min_val": -1.0, "max_val": 1.0}),
    "maxpool2d": (
        nn.MaxPool2d,
        {"kernel_size": None, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False},
    ),
}
# Operations that return new tensors that their gradient does not need: an activation after them may overwrite these.
FRESH = {"conv2d", "conv1d", "conv3d", "linear", "batchnorm", "batchnorm2d", "groupnorm", "layernorm", "layernorm2d"}


def give_modules(graph: fx.Graph, tree: nn.Module) -> None:
    """Make every activation and max pool a module that is called once; one for a function is placed where it is called."""
    calls: Counter[str] = Counter()
    for node in graph.nodes:
        if node.meta.get("in_place"):
            continue
        if _is_hooked(node, tree):
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


def is_max_pool_module(node: fx.Node, tree: nn.Module) -> bool:
    """Whether a node calls a max pool of torch.nn that returns a tensor alone."""
    module = tree.get_submodule(str(node.target)) if node.op == "call_module" else None
    return type(module) in _POOLS and not module.return_indices  # type: ignore[union-attr]  # a pool has it


def give_inputs_of_their_own(graph: fx.Graph, tree: nn.Module) -> None:
    """Give non-linear operations a view of their input, unless it is a new tensor that nothing else reads.

    Methods such as DeepLift and Guided Backprop replace the gradient at that input. Without the view, they would also replace
    the gradient of other operations that read the tensor, also under another name: a fork and a layer that is idle in
    evaluation mode return the tensor that they get. After another non-linear operation, which reads the gradient at its output,
    the order of both would decide.
    """
    for node in list(graph.nodes):
        if not _is_hooked(node, tree) or not isinstance(node.args[0], fx.Node) or _is_new_and_alone(node.args[0], tree):
            continue
        source = node.args[0]
        with graph.inserting_before(node):
            view = graph.call_method("view_as", (source, source))
        view.meta = {**source.meta, "multiply_adds": 0}
        node.replace_input_with(source, view)


def _is_hooked(node: fx.Node, tree: nn.Module) -> bool:
    """Whether a node calls a module at which a method replaces the gradient."""
    return node.op == "call_module" and isinstance(tree.get_submodule(str(node.target)), (*_MODULES, *_POOLS))


def _is_new_and_alone(node: fx.Node, tree: nn.Module) -> bool:
    """Whether a node returns a new tensor, also through places of a block, that one operation reads."""
    while len(node.users) == 1 and node.op == "call_module" and type(tree.get_submodule(str(node.target))) is nn.Identity:
        node = node.all_input_nodes[0]
    return len(node.users) == 1 and operation(node, tree) in FRESH | {"sum"}


def mark_overwritable(graph: fx.Graph, tree: nn.Module, watched: set[fx.Node], sums: set[fx.Node]) -> None:
    """Tell every ReLU whether it may overwrite its input: nothing else uses it, and it is new and not one of the `watched`.

    A block's sum is new, and may be overwritten in a pass that does not record it.
    """
    for node in graph.nodes:
        if is_activation_module(node, tree) and isinstance(node.args[0], fx.Node):
            source = node.args[0]
            new = operation(source, tree) in FRESH and source not in watched
            fresh = (new or source in sums) and len(source.users) == 1
            tree.get_submodule(str(node.target)).may_overwrite = fresh  # type: ignore[assignment]


def _from_function(node: fx.Node, tree: nn.Module) -> None:
    name = operation(node, tree)
    # Other arguments than these (out=, a tensor for a number) mean another operation.
    rest = {key: value for key, value in node.kwargs.items() if key != "inplace"}
    values = [value for value in node.args[1:] if value is not False] if name in _PLAIN else list(node.args[1:])
    if name in _PLAIN and not values and not rest:
        module = _PLAIN[name]()
    elif name in _WITH_NUMBERS:
        make, usual = _WITH_NUMBERS[name]
        given = dict(zip(usual, values, strict=False)) | rest
        if set(given) - set(usual) or any(isinstance(value, fx.Node) for value in given.values()):
            return
        # ATen's elu takes two more scales, and a function's last argument may be `inplace`.
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
    """Add a module at a path under a free name, and return its path."""
    owner = tree.get_submodule(path)
    number = 1
    while hasattr(owner, free := f"{name}_{number}"):
        number += 1
    owner.add_module(free, module)
    return f"{path}.{free}" if path else free
