"""A working copy of a user's module: in evaluation mode, with the same memory, without the hooks that its owner registered.

Not `copy.deepcopy`: a module may contain objects that cannot be copied (a trainer, a logger, a lock), and only the path to
modules and tensors has to be copied.
"""

import contextlib
import functools
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from types import CellType, FunctionType, MethodType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.eval_frame import OptimizedModule
from torch.optim.swa_utils import AveragedModel

from resnet_viz.nets.twins import HOOKS

# Every module that was copied here, so that a pass can notice one that was not.
_MADE: weakref.WeakSet[nn.Module] = weakref.WeakSet()
WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside DataParallel, DistributedDataParallel, torch.compile and torch's averaged model.

    TypeError for anything but a module. ValueError for one whose graph cannot be traced, because torch.jit compiled it or a
    part of it and its Python code is gone, and for one whose lazy layers have no weights yet.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(_not_a_module(module))
    for name, layer in module.named_modules():
        if isinstance(layer, torch.jit.ScriptModule):
            where = f"its module {name}" if name else "the module"
            raise ValueError(  # noqa: TRY004 - what a person is told to expect of every module that cannot be opened
                f"{where} was compiled by torch.jit, which cannot be traced. Pass the original module"
            )
    if any(nn.parameter.is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        raise ValueError(f"{type(module).__name__} has layers without weights yet. Run it on an image once, then open it")
    return _inner(module)


def _inner(module: nn.Module) -> nn.Module:
    while True:
        if isinstance(module, WRAPPERS):
            module = module.module
        elif isinstance(module, OptimizedModule):
            module = module.get_submodule("_orig_mod")
        else:
            return module


def _not_a_module(given: object) -> str:
    kind = type(given).__name__
    if isinstance(given, type):
        return f"{given.__name__} is a class, and a network is an object of it: pass {given.__name__}(...)"
    if isinstance(given, Mapping):
        return f"a network (torch.nn.Module) is needed, not {kind}. If it holds weights, open them with rv.load_checkpoint"
    if isinstance(given, str):
        return f"a network (torch.nn.Module) is needed, not the text {given!r}. Open networks by name with rv.load"
    if isinstance(given, torch.export.ExportedProgram):
        return "an exported program cannot be traced. Pass the module that it was exported from"
    return f"a network (torch.nn.Module) is needed, not {kind}"


def evaluation_copy(module: nn.Module) -> nn.Module:
    """Copy a module's tree; its tensors share the memory of the original's, and the same parameters are trainable.

    Hooks are left out, except those with which torch computes a weight (pruning, weight norm, spectral norm).
    """
    copy = _Copier().copy(module)
    for layer in copy.modules():
        # Not `eval()`: a module's own `train` may do more, such as merging weights in the shared memory.
        layer.training = False
    assert isinstance(copy, nn.Module)  # noqa: S101 - for the type checker
    return copy


def trial_copy(module: nn.Module) -> nn.Module:
    """Make an evaluation copy whose buffers have memory of their own: passes and tracers may write to them."""
    copy, copies = evaluation_copy(module), dict[int, Tensor]()
    for layer in copy.modules():
        for name, buffer in layer._buffers.items():  # noqa: SLF001 - `setattr` would refuse what is not persistent
            if buffer is not None:
                layer._buffers[name] = copies.setdefault(id(buffer), buffer.clone())  # noqa: SLF001
    return copy


def separate_copy(module: nn.Module) -> nn.Module:
    """Make a trial copy whose parameters have memory of their own too: passes may write to its weights."""
    copy = trial_copy(module)
    with torch.no_grad():
        for parameter in copy.parameters():
            # Others, such as quantised ones, cannot change their memory.
            if type(parameter) is nn.Parameter and parameter.layout is torch.strided:
                parameter.set_(parameter.clone())  # type: ignore[call-overload]
    return copy


def is_copy(module: nn.Module) -> bool:
    """Whether a module was copied here, with the network that it belongs to."""
    return module in _MADE


def share_buffers(network: nn.Module, original: nn.Module) -> None:
    """Let a network use the memory of the original's buffers of the same names, as it does that of the parameters."""
    layers = dict(network.named_modules())
    for path, layer in original.named_modules():
        own = layers[path]._buffers if path in layers else {}  # noqa: SLF001 - as above
        own.update({name: buffer for name, buffer in layer._buffers.items() if name in own})  # noqa: SLF001


def _copied_mapping(copy: Callable[[Any], Any], given: Any) -> Any:  # noqa: ANN401 - any of the sorts below
    return type(given)({key: copy(entry) for key, entry in given.items()})


def _copied_default(copy: Callable[[Any], Any], given: Any) -> Any:  # noqa: ANN401 - as above
    return defaultdict(given.default_factory, {key: copy(entry) for key, entry in given.items()})


def _copied_sequence(copy: Callable[[Any], Any], given: Any) -> Any:  # noqa: ANN401 - as above
    return type(given)(map(copy, given))


# How the containers that Python's own library has are copied, with what they hold.
_CONTAINERS: dict[type, Callable[[Callable[[Any], Any], Any], Any]] = {
    **dict.fromkeys((list, tuple, set, frozenset), _copied_sequence),
    **dict.fromkeys((dict, OrderedDict, Counter), _copied_mapping),
    defaultdict: _copied_default,
    deque: lambda copy, given: deque(map(copy, given), given.maxlen),
    SimpleNamespace: lambda copy, given: SimpleNamespace(**{name: copy(value) for name, value in vars(given).items()}),
}


class _Copier:
    """Copies modules and the objects that lead to them; `_copies` maps what was copied to its copy."""

    def __init__(self) -> None:
        self._copies: dict[int, Any] = {}

    def copy(self, value: Any) -> Any:  # noqa: ANN401, PLR0911 - a line for each sort of what a module may hold
        if id(value) in self._copies:
            return self._copies[id(value)]
        if isinstance(value, nn.Module):
            inner = _inner(value)
            return self._module(value) if inner is value else self.copy(inner)
        if isinstance(value, Tensor):
            return self._tensor(value)
        if type(value) in _CONTAINERS:
            return _CONTAINERS[type(value)](self.copy, value)
        if isinstance(value, tuple) and hasattr(value, "_make") and hasattr(value, "_fields"):
            return value._make(map(self.copy, value))
        if type(value) is weakref.ref and isinstance(referred := value(), nn.Module):
            return weakref.ref(self.copy(referred))
        if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
            return MethodType(value.__func__, self.copy(value.__self__))
        if isinstance(value, FunctionType) and (value.__closure__ or value.__defaults__ or value.__kwdefaults__):
            return self._function(value)
        if type(value) is functools.partial:
            return functools.partial(self.copy(value.func), *self.copy(value.args), **self.copy(value.keywords))
        return value

    def _module(self, module: nn.Module) -> nn.Module:
        # Some classes create a new class for every instance (`torch.fx.GraphModule.__new__`); the copy keeps this one.
        copy: nn.Module = object.__new__(type(module))
        self._copies[id(module)] = copy
        _MADE.add(copy)
        for name, value in vars(module).items():
            vars(copy)[name] = _torch_hooks(value) if name in HOOKS else self.copy(value)
        vars(copy).pop("_compiled_call_impl", None)
        return copy

    def _function(self, function: FunctionType) -> FunctionType:
        """Copy a function with what it holds, such as the module's own forward pass in `module.forward = lambda x: old(x)`."""
        cells = tuple(CellType() for _ in function.__closure__ or ())
        copy = FunctionType(function.__code__, function.__globals__, function.__name__, None, cells)
        self._copies[id(function)] = copy
        copy.__defaults__, copy.__kwdefaults__ = self.copy(function.__defaults__), self.copy(function.__kwdefaults__)
        vars(copy).update(vars(function))
        for cell, original in zip(cells, function.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # an empty cell
                cell.cell_contents = self.copy(original.cell_contents)
        return copy

    def _tensor(self, tensor: Tensor) -> Tensor:
        # Nothing can be differentiated through a tensor that was made in inference mode.
        shared = tensor.detach().clone() if tensor.is_inference() else tensor.detach()
        copy = nn.Parameter(shared, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shared
        self._copies[id(tensor)] = copy
        return copy


def count_hooks(module: nn.Module) -> int:
    """Count the hooks around forward passes that a copy leaves out."""
    names = [name for name in HOOKS if "forward" in name and "always" not in name and not name.endswith("kwargs")]
    return sum(len(vars(layer)[name]) - len(_torch_hooks(vars(layer)[name])) for layer in module.modules() for name in names)


def _torch_hooks(hooks: dict[int, Any]) -> dict[int, Any]:
    kept = ((key, hook) for key, hook in hooks.items() if type(hook).__module__.startswith("torch.nn.utils."))
    return OrderedDict(kept)
