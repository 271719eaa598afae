"""The non-linear operations of a network: methods such as DeepLift and Guided Backprop have rules for only some of them."""

from collections.abc import Iterator

from torch import fx, nn

from resnet_viz.nets.residual_graph.activation_modules import is_activation_module
from resnet_viz.nets.residual_graph.finding import data_inputs
from resnet_viz.nets.residual_graph.operations import operation

_PRODUCTS = {"mul", "matmul", "bmm", "einsum", "div", "truediv", "imul", "baddbmm"}
_WORDS = {
    "layernorm": "layer normalisation", "nativelayernorm": "layer normalisation", "groupnorm": "group normalisation",
    "nativegroupnorm": "group normalisation", "instancenorm": "instance normalisation",
    "instancenorm2d": "instance normalisation", "rmsnorm": "RMS normalisation", "softmax": "a softmax",
    "logsoftmax": "a softmax", "normalize": "normalisation of vectors", "maxpool2d": "max pooling by a function",
}  # fmt: skip
_FUNCTIONS = {
    "relu", "relu6", "leakyrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh", "hardtanh", "hardswish",
    "hardsigmoid", "softplus", "glu", "prelu", "exp", "pow", "sqrt", "rsqrt", "abs", "clamp", "max", "amax", "where",
}  # fmt: skip


def activations_of(graph: fx.Graph, tree: nn.Module) -> tuple[str, ...]:
    """Return the classes of the activations that have modules of their own, in order: "ReLU", "GELU"."""
    return tuple(
        dict.fromkeys(
            type(tree.get_submodule(str(node.target))).__name__
            for node in graph.nodes
            if node.meta["data"] and is_activation_module(node, tree)
        )
    )


def without_modules(graph: fx.Graph, tree: nn.Module) -> tuple[str, ...]:
    """Describe the other non-linear operations: products of activations, attention, normalisations."""
    return tuple(dict.fromkeys(word for node in graph.nodes if node.meta["data"] for word in _words(node, tree)))


def _words(node: fx.Node, tree: nn.Module) -> Iterator[str]:
    name = operation(node, tree)
    if "attention" in name:
        yield "attention"
    elif name in _PRODUCTS and len(data_inputs(node)) > 1:
        yield "products of activations"
    elif name in _WORDS:
        if name != "maxpool2d" or node.op != "call_module":
            yield _WORDS[name]
    elif name.startswith("layernorm"):
        yield "layer normalisation"
    elif name in _FUNCTIONS and not is_activation_module(node, tree):
        yield name
