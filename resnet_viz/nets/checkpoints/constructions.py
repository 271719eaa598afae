"""What the calls in a pickle stand for: torch's own ways to write tensors and containers, and an inert stand-in for all others.

Nothing is called here: each known function's arguments are read for what they say.
"""

from collections.abc import Callable
from dataclasses import replace

from resnet_viz.nets.checkpoints.errors import damaged
from resnet_viz.nets.checkpoints.tensors import StoredTensor, number_type, unreadable, view_of
from resnet_viz.nets.checkpoints.values import Global, Span, StandIn, key_text

Arguments = tuple[object, ...]
Spend = Callable[[int], None]

DICTS = {
    "builtins.dict", "collections.OrderedDict", "collections.defaultdict", "collections.Counter",
    "torch.nn.modules.container.OrderedDict",
}  # fmt: skip
LISTS = {"builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "collections.deque", "torch.Size"}
# How a subclass of torch.Tensor, or a tensor with attributes, is written: (function, class, its arguments, state).
SUBCLASS = "torch._tensor._rebuild_from_type_v2"
PARAMETERS = {
    "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer", "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state", "torch.autograd.variable.Variable",
}  # fmt: skip


def constructed(callable_: object, arguments: object, keywords: object, spend: Spend) -> object:
    """Return what stands for the result of a call; `spend` is told how many values are gone through for it."""
    if not isinstance(callable_, Global) or not isinstance(arguments, tuple):
        return StandIn("an object of unknown class", arguments)
    name = callable_.name
    if name in TENSORS:
        return TENSORS[name](arguments)
    if name == SUBCLASS and len(arguments) > 2 and isinstance(arguments[0], Global) and arguments[0].name != SUBCLASS:
        return constructed(arguments[0], arguments[2], None, spend)
    found = _container(name, arguments, spend)
    return StandIn(name, (arguments, keywords) if keywords else arguments) if found is None else found


def _container(name: str, arguments: Arguments, spend: Spend) -> object:
    """Return a dict, list, parameter or bytes; None for anything else."""
    first = arguments[0] if arguments else None
    if name in PARAMETERS and isinstance(first, StoredTensor):
        return first
    if name in DICTS:
        return _dict(first, spend)
    if name in LISTS:
        return first if isinstance(first, (list, tuple)) else []
    if name == "_codecs.encode":
        return _encoded(first)
    # Python 2 makes an object of a class of its own so.
    return StandIn(first.name) if name == "copyreg._reconstructor" and isinstance(first, Global) else None


def restored(target: object, state: object) -> None:
    """Give an object the state that a pickle has for it; a container's attributes and a tensor's are left out."""
    if not isinstance(target, StandIn):
        return
    parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    attributes = [part for part in parts if isinstance(part, dict)]
    if not attributes:
        target.state = state
    elif target.attributes is None:
        # Not a copy: a file could ask for as many copies of one large state as it likes.
        target.attributes, *others = attributes
        target.state = others[0] if others else None


def _dict(content: object, spend: Spend) -> dict[str, object]:
    """Python 2 writes an OrderedDict as a call with a list of pairs; dicts are handed on as they are and never copied."""
    if isinstance(content, dict):
        return content
    if not isinstance(content, list):
        return {}
    spend(len(content))
    found: dict[str, object] = {}
    for pair in content:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise damaged("a dict in it is written as a list of something other than pairs")
        name = key_text(pair[0])
        if name is not None:
            found[name] = pair[1]
    return found


def _encoded(text: object) -> object:
    """Protocol 2 writes bytes as text in Latin-1."""
    if isinstance(text, str):
        return text.encode("latin-1", "replace")
    return text if isinstance(text, Span) else None


def _rebuild_tensor(arguments: Arguments) -> StoredTensor:
    if len(arguments) < 4:
        raise damaged("a tensor lacks its storage, offset, shape or strides")
    if isinstance(arguments[0], StandIn):
        return unreadable("it was written by pickle.dump: save the network with torch.save", shape=arguments[2])
    storage, offset, shape, strides = arguments[:4]
    return _plain_bits(view_of(storage, offset, shape, strides), arguments[6:7])


def _rebuild_tensor_v3(arguments: Arguments) -> StoredTensor:
    if len(arguments) < 7 or not isinstance(arguments[6], Global):
        raise damaged("a tensor lacks its type")
    storage, offset, shape, strides = arguments[:4]
    type_ = number_type(arguments[6].name.removeprefix("torch."))
    return _plain_bits(view_of(storage, offset, shape, strides, type_), arguments[7:8])


def _plain_bits(tensor: StoredTensor, metadata: Arguments) -> StoredTensor:
    """Metadata says that the numbers are the negatives or conjugates of those that are stored."""
    return replace(tensor, obstacle="its numbers are stored negated or conjugated") if any(metadata) else tensor


def _first(arguments: Arguments) -> object:
    return (
        arguments[0] if arguments and isinstance(arguments[0], StoredTensor) else unreadable("its numbers are not in the file")
    )


def _unread(obstacle: str, shape_at: int | None = None) -> Callable[[Arguments], StoredTensor]:
    def rebuild(arguments: Arguments) -> StoredTensor:
        shape = arguments[shape_at] if shape_at is not None and len(arguments) > shape_at else ()
        return unreadable(obstacle, shape=shape)

    return rebuild


TENSORS: dict[str, Callable[[Arguments], object]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first,
    "torch._utils._rebuild_qtensor": _unread("it is quantised", 2),
    "torch._utils._rebuild_sparse_tensor": _unread("it is sparse"),
    "torch._utils._rebuild_sparse_csr_tensor": _unread("it is sparse"),
    "torch._utils._rebuild_nested_tensor": _unread("it is a nested tensor"),
    "torch._utils._rebuild_meta_tensor_no_storage": _unread("it is a meta tensor, without numbers", 1),
    "torch._utils._rebuild_wrapper_subclass": _unread("it is a wrapper without numbers of its own", 2),
}
