"""A working copy of a user's module: in evaluation mode, with the same memory, without the hooks that its owner registered.

Not `copy.deepcopy`: a module may contain objects that cannot be copied (a trainer, a logger, a lock), and only the path to
modules and tensors has to be copied.
"""

import functools
from collections import OrderedDict
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.eval_frame import OptimizedModule
from torch.optim.swa_utils import AveragedModel

from resnet_viz.nets.twins import HOOKS

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside DataParallel, DistributedDataParallel, torch.compile and torch's averaged model.

    ValueError for a module that torch.jit compiled: its Python code is gone, so its graph cannot be traced.
    """
    inner = module
    while True:
        if isinstance(inner, WRAPPERS):
            inner = inner.module
        elif isinstance(inner, OptimizedModule):
            inner = inner.get_submodule("_orig_mod")
        else:
            break
    if isinstance(inner, torch.jit.ScriptModule):
        raise ValueError(  # noqa: TRY004 - what a person is told to expect of every module that cannot be opened
            "the module was compiled by torch.jit, which cannot be traced. Pass the original module"
        )
    return inner


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


def with_own_buffers(module: nn.Module) -> nn.Module:
    """Give an evaluation copy buffers with their own memory, and return it: what runs may write to them."""
    copies: dict[int, Tensor] = {}
    for layer in module.modules():
        for name, buffer in layer._buffers.items():  # noqa: SLF001 - `setattr` would refuse what is not persistent
            if buffer is not None:
                layer._buffers[name] = copies.setdefault(id(buffer), buffer.clone())  # noqa: SLF001
    return module


def share_buffers(network: nn.Module, original: nn.Module) -> None:
    """Let a network use the memory of the original's buffers of the same names, as it does that of the parameters."""
    layers = dict(network.named_modules())
    for path, layer in original.named_modules():
        owner = layers.get(path)
        for name, buffer in layer._buffers.items() if owner is not None else ():  # noqa: SLF001 - as above
            if name in owner._buffers:  # noqa: SLF001
                owner._buffers[name] = buffer  # noqa: SLF001


class _Copier:
    """Copies modules and the objects that lead to them; `_copies` maps what was copied to its copy."""

    def __init__(self) -> None:
        self._copies: dict[int, Any] = {}

    def copy(self, value: Any) -> Any:  # noqa: ANN401, PLR0911 - a line for each sort of what a module may hold
        if id(value) in self._copies:
            return self._copies[id(value)]
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, Tensor):
            return self._tensor(value)
        if type(value) in (list, tuple, set):
            return type(value)(map(self.copy, value))
        if type(value) in (dict, OrderedDict):
            return type(value)((key, self.copy(entry)) for key, entry in value.items())
        if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
            return MethodType(value.__func__, self.copy(value.__self__))
        if type(value) is functools.partial:
            return functools.partial(self.copy(value.func), *self.copy(value.args), **self.copy(value.keywords))
        return value

    def _module(self, module: nn.Module) -> nn.Module:
        # Some classes create a new class for every instance (`torch.fx.GraphModule.__new__`); the copy keeps this one.
        copy: nn.Module = object.__new__(type(module))
        self._copies[id(module)] = copy
        for name, value in vars(module).items():
            vars(copy)[name] = _torch_hooks(value) if name in HOOKS else self.copy(value)
        vars(copy).pop("_compiled_call_impl", None)
        return copy

    def _tensor(self, tensor: Tensor) -> Tensor:
        # Nothing can be differentiated through a tensor that was made in inference mode.
        shared = tensor.detach().clone() if tensor.is_inference() else tensor.detach()
        copy = nn.Parameter(shared, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shared
        self._copies[id(tensor)] = copy
        return copy


def _torch_hooks(hooks: dict[int, Any]) -> dict[int, Any]:
    kept = ((key, hook) for key, hook in hooks.items() if type(hook).__module__.startswith("torch.nn.utils."))
    return OrderedDict(kept)
