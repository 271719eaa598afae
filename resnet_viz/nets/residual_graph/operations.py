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
# Names that end in "_" of operations whose plain form computes something else, or has numbers of another type.
_INSEPARABLE = {"resize", "resize_as", "requires_grad", "bernoulli", "eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less",
                "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_not", "logical_xor", "set",
                "copy", "fill", "zero"}  # fmt: skip
ADDITIONS = {"add", "iadd"}
CONVOLUTIONS = {"conv1d", "conv2d", "conv3d", "convolution", "convtranspose2d", "linear", "addmm", "matmul", "bmm", "einsum"}
NORMS = {"batchnorm", "batchnorm1d", "batchnorm2d", "syncbatchnorm", "groupnorm", "layernorm", "instancenorm", "instancenorm2d",
         "rmsnorm", "localresponsenorm", "frozenbatchnorm2d", "nativebatchnorm", "nativelayernorm"}  # fmt: skip
PADS = {"pad", "constantpadnd", "zeropad2d", "constantpad2d", "cat", "concat", "concatenate"}
SUBSAMPLINGS = {"getitem", "slice", "select"}
SHAPINGS = VIEWS | SUBSAMPLINGS
_HOMES = (torch, nn.functional)
_OVERWRITING_OPERATORS = {
    getattr(operator, name)
    for name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "iand", "ior", "ixor", "ilshift", "irshift",
                 "setitem")
}  # fmt: skip


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
    name = str(target) if op == "call_method" else function_name(target)
    if op == "call_function" and name.startswith("i") and target is getattr(operator, name, None):
        return getattr(operator, name[1:], None) if overwrites(target, op) else None
    plain = name[:-1]
    if not overwrites(target, op) or not name.endswith("_") or plain in _INSEPARABLE:
        return None
    if op == "call_method":
        return plain if callable(getattr(torch.Tensor, plain, None)) else None
    if isinstance(target, OpOverload):
        return _plain_overload(target, plain)
    of_torch = any(target is getattr(home, name, None) for home in _HOMES)
    return next((getattr(home, plain) for home in _HOMES if hasattr(home, plain)), None) if of_torch else None


def _plain_overload(target: OpOverload, plain: str) -> OpOverload | None:
    """Return the overload of the plain operation that takes the same arguments."""
    packet = getattr(torch.ops.aten, plain, None)
    overloads = [] if packet is None else [getattr(packet, name) for name in packet.overloads()]
    return next((each for each in overloads if _arguments(each) == _arguments(target)), None)


def _arguments(target: OpOverload) -> list[tuple[str, str]]:
    return [(each.name, str(each.type)) for each in target._schema.arguments]  # noqa: SLF001 - the schema has no other name


def overwrites(target: Target, op: str) -> bool:
    """Whether an operation overwrites a tensor by its name: `mul_`, `aten.mul_`, `*=` and `x[0] = y`."""
    if isinstance(target, OpOverload):
        return bool(target._schema.is_mutable)  # noqa: SLF001 - the schema has no other name
    if op == "call_function" and target in _OVERWRITING_OPERATORS:
        return True
    name = function_name(target) if op == "call_function" else str(target)
    # `and_` and `or_` of Python's operators are named so because the words are taken.
    named_so = name.endswith("_") and not name.endswith("__") and getattr(target, "__module__", "") != operator.and_.__module__
    return op in ("call_function", "call_method") and named_so


def may_write(node: fx.Node) -> bool:
    """Whether a node changes memory that others look at, so that it counts although nobody uses its result."""
    return bool(node.meta.get("in_place")) or "out" in node.kwargs or overwrites(node.target, node.op)
