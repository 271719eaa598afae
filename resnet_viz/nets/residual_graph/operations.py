"""What a node of a traced graph computes, under one name for modules, functions, methods and ATen."""

import operator
from typing import Any

import torch
from torch import fx, nn
from torch._ops import OpOverload

Target = Any

# Operations that pass their input on in evaluation mode.
IDLE = {"identity", "dropout", "dropout1d", "dropout2d", "dropout3d", "alphadropout", "featuredropout",
        "featurealphadropout", "stochasticdepth", "contiguous", "clone", "to", "float", "type", "typeas", "alias",
        "liftfreshcopy", "detach"}  # fmt: skip
# Operations with a result that views the memory of their input.
VIEWS = {"view", "viewas", "reshape", "flatten", "unflatten", "permute", "transpose", "t", "movedim", "swapaxes", "squeeze",
         "unsqueeze", "expand", "expandas", "chunk", "split", "splitwithsizes", "tensorsplit", "unbind", "getitem", "select",
         "slice", "narrow", "rearrange"}  # fmt: skip
# Operations with an in-place form (`mul_`, `aten.mul_`, `*=`) that computes the same as the plain one.
SEPARABLE = {"add", "sub", "mul", "div", "truediv", "pow", "neg", "abs", "exp", "sqrt", "rsqrt", "reciprocal", "clamp",
             "clamp_min", "clamp_max", "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "silu", "mish", "sigmoid", "tanh",
             "hardtanh", "hardswish", "hardsigmoid", "masked_fill", "addcmul", "addcdiv", "lerp"}  # fmt: skip
ADDITIONS = {"add", "iadd"}
CONVOLUTIONS = {"conv1d", "conv2d", "conv3d", "convolution", "convtranspose2d", "linear", "addmm", "matmul", "bmm", "einsum"}
NORMS = {"batchnorm", "batchnorm1d", "batchnorm2d", "syncbatchnorm", "groupnorm", "layernorm", "instancenorm", "instancenorm2d",
         "rmsnorm", "localresponsenorm", "frozenbatchnorm2d", "nativebatchnorm", "nativelayernorm"}  # fmt: skip
PADS = {"pad", "constantpadnd", "zeropad2d", "constantpad2d", "cat", "concat", "concatenate"}
SUBSAMPLINGS = {"getitem", "slice", "select"}
SHAPINGS = VIEWS | SUBSAMPLINGS


def is_pool(name: str) -> bool:
    """Whether an operation of this name pools or resizes."""
    return "pool" in name or name in {"interpolate", "upsample", "mean"}


def operation(node: fx.Node, tree: nn.Module) -> str:
    """Return the operation's name in lower case and without underscores: "conv2d" for nn.Conv2d, F.conv2d and ATen's."""
    if node.op == "call_module":
        return class_operation(tree.get_submodule(str(node.target)))
    name = function_name(node.target) if node.op == "call_function" else str(node.target)
    return name.lower().replace("_", "")


def class_operation(module: nn.Module) -> str:
    """Return the name of the operation that a module computes."""
    return type(module).__name__.lower().replace("_", "")


def function_name(target: Target) -> str:
    """Return a function's own name: "relu_" for torch.relu_ and for aten.relu_.default."""
    if isinstance(target, OpOverload):
        return str(target.overloadpacket.__name__)
    return str(getattr(target, "__name__", target))


def out_of_place(target: Target, op: str) -> Target | None:
    """Return the same operation without overwriting; None if the operation does not overwrite, or no other one is known."""
    if op == "call_method":
        name = str(target)
        return name[:-1] if _overwrites(name) else None
    if isinstance(target, OpOverload):
        packet = target.overloadpacket.__name__
        return (
            getattr(getattr(torch.ops.aten, packet[:-1]), target.name().partition(".")[2] or "default", None)
            if _overwrites(packet)
            else None
        )
    name = function_name(target)
    if name.startswith("i") and name[1:] in SEPARABLE and target is getattr(operator, name, None):
        return getattr(operator, name[1:])
    if _overwrites(name):
        return getattr(torch, name[:-1], None) or getattr(nn.functional, name[:-1], None)
    return None


def may_write(node: fx.Node) -> bool:
    """Whether a node changes memory that others look at, so that it counts although nobody uses its result."""
    if node.meta.get("in_place") or "out" in node.kwargs or node.target is operator.setitem:
        return True
    if isinstance(node.target, OpOverload):
        return bool(node.target._schema.is_mutable)  # noqa: SLF001 - the schema has no other name
    return node.op in ("call_function", "call_method") and function_name(node.target).endswith("_")


def _overwrites(name: str) -> bool:
    return name.endswith("_") and name[:-1] in SEPARABLE
