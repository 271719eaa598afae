"""The non-linear operations of a network: methods such as DeepLift and Guided Backprop have rules for only some of them.

An operation counts as linear only if it is known to be: a map with a missing rule would be wrong without a word.
"""

from collections.abc import Iterator
from typing import Any

from torch import fx, nn

from resnet_viz.nets.residual_graph.activation_modules import is_activation_module, is_max_pool_module
from resnet_viz.nets.residual_graph.operations import CONVOLUTIONS, IDLE, VIEWS, operation

# Linear in each of their factors, and so in the image if only one factor depends on it.
_PRODUCTS = CONVOLUTIONS | {
    "mul", "imul", "multiply", "mm", "mv", "dot", "outer", "tensordot", "baddbmm", "addbmm", "addmv", "addcmul", "lerp",
    "convtranspose1d", "convtranspose3d", "nondynamicallyquantizablelinear",
}  # fmt: skip
# Linear in the first argument.
_QUOTIENTS = {"div", "truediv", "itruediv", "divide", "truedivide"}
# Batch norms are linear in evaluation mode, where their statistics are numbers.
_LINEAR = (IDLE - {"detach"}) | VIEWS | {
    "add", "iadd", "sub", "isub", "subtract", "rsub", "neg", "negative", "pos", "sum", "mean", "nanmean", "cumsum", "diff",
    "batchnorm", "batchnorm1d", "batchnorm2d", "batchnorm3d", "syncbatchnorm", "frozenbatchnorm2d", "nativebatchnorm",
    "nativebatchnormlegitnotraining", "cudnnbatchnorm", "withusualstrides",
    "cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "pad", "constantpadnd", "zeropad1d", "zeropad2d",
    "constantpad1d", "constantpad2d", "reflectionpad1d", "reflectionpad2d", "replicationpad1d", "replicationpad2d",
    "circularpad1d", "circularpad2d", "avgpool1d", "avgpool2d", "avgpool3d", "adaptiveavgpool1d", "adaptiveavgpool2d",
    "adaptiveavgpool3d", "interpolate", "upsample", "upsamplingbilinear2d", "upsamplingnearest2d", "upsamplebilinear2d",
    "upsamplenearest2d", "upsamplenearestexact2d", "upsamplebicubic2d", "pixelshuffle", "pixelunshuffle", "channelshuffle",
    "nativechannelshuffle", "unfold", "fold", "im2col", "col2im", "roll", "flip", "fliplr", "flipud", "rot90", "repeat",
    "repeatinterleave", "tile", "broadcastto", "index", "indexselect", "gather", "take", "takealongdim", "diagonal", "tril",
    "triu", "moveaxis", "swapdims", "ravel", "tocopy", "double", "half", "bfloat16", "unsafeview", "positive", "adjoint",
    "reshapeas", "patchmergingpad", "asstrided", "hsplit", "vsplit", "dsplit", "unsafesplit", "unsafechunk", "real", "imag",
    "viewasreal", "viewascomplex", "complex", "fftfft", "fftifft", "fftfft2", "fftifft2", "fftfftn", "fftifftn", "fftrfft",
    "fftirfft", "fftrfft2", "fftirfft2", "fftrfftn", "fftirfftn", "fftfftshift", "fftifftshift",
}  # fmt: skip
# Numbers that do not depend on the values of the image.
_CONSTANT = {"zeroslike", "oneslike", "fulllike", "emptylike", "newzeros", "newones", "newfull", "newempty", "newtensor"}
# Linear in what they choose from; what chooses must not depend on the image.
_CHOICES = {"where", "maskedfill", "maskedscatter", "scatter", "scatteradd", "indexadd", "indexcopy"}
_WORDS = {
    "layernorm": "layer normalisation", "nativelayernorm": "layer normalisation", "groupnorm": "group normalisation",
    "nativegroupnorm": "group normalisation", "instancenorm": "instance normalisation",
    "instancenorm2d": "instance normalisation", "rmsnorm": "RMS normalisation", "softmax": "a softmax",
    "logsoftmax": "a softmax", "normalize": "normalisation of vectors", "maxpool2d": "max pooling by a function",
    "localresponsenorm": "local response normalisation",
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
    """Describe the other operations that are not known to be linear: products of activations, attention, normalisations."""
    return tuple(dict.fromkeys(word for node in graph.nodes if node.meta["data"] for word in _words(node, tree)))


def _words(node: fx.Node, tree: nn.Module) -> Iterator[str]:
    name = operation(node, tree).removeprefix("parametrized")
    if node.op in ("placeholder", "output", "get_attr"):
        return
    if node.meta.get("in_place"):
        yield f"{name} that overwrites a tensor under two names"
    elif "attention" in name:
        yield "attention"
    elif name in _WORDS and not is_max_pool_module(node, tree):
        yield _WORDS[name]
    elif name.startswith("layernorm"):
        yield "layer normalisation"
    elif name in _PRODUCTS | _QUOTIENTS:
        if not _has_one_factor(node, name):
            yield "products of activations"
    elif not _is_covered(node, name, tree):
        yield name


def _is_covered(node: fx.Node, name: str, tree: nn.Module) -> bool:
    """Whether an operation is linear, or one of those that have a rule."""
    if is_activation_module(node, tree) or is_max_pool_module(node, tree) or name in _CONSTANT:
        return True
    if name in _CHOICES:
        # The tensor that a method is called on, and what it is replaced by, may depend on the image.
        chooser = (
            node.args[0] if name == "where" and node.op == "call_function" else node.args[1] if len(node.args) > 1 else None
        )
        return not (isinstance(chooser, fx.Node) and chooser.meta["data"])
    if name == "getitem":
        return not any(index.meta["data"] for index in _nodes_in(node.args[1:]))
    if name == "getattr":
        return node.args[1] in ("T", "mT", "H", "mH", "real", "imag", "data")
    return name in _LINEAR


def _has_one_factor(node: fx.Node, name: str) -> bool:
    """Whether one factor depends on the image; in a quotient, only the dividend may."""
    depending = [each for each in _nodes_in((node.args, node.kwargs)) if each.meta["data"]]
    if name in _QUOTIENTS:
        return len(depending) == 1 and bool(node.args) and node.args[0] is depending[0] and "rounding_mode" not in node.kwargs
    return len(depending) <= 1


def _nodes_in(arguments: Any) -> list[fx.Node]:  # noqa: ANN401 - whatever the arguments of a node are
    """Return the nodes in arguments, each as often as it occurs: x · x has two factors."""
    found: list[fx.Node] = []
    fx.node.map_arg(arguments, found.append)
    return found
