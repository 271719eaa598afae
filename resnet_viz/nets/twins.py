"""Twins: copies of a module tree that share its weights, for passes that must not change the module itself.

A twin is in evaluation mode, has its own buffers and none of the hooks that were put on the module, so that neither a pass nor
an analysis changes what the module's owner sees.
"""

from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

PRE_HOOKS = "_forward_pre_hooks"
HOOKS = frozenset(
    {
        PRE_HOOKS,
        "_forward_pre_hooks_with_kwargs",
        "_forward_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called",
        "_backward_hooks",
        "_backward_pre_hooks",
        "_state_dict_hooks",
        "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks",
        "_load_state_dict_post_hooks",
    }
)
TORCHS_OWN = frozenset({"_parameters", "_buffers", "_modules"})
PLAIN = frozenset({bool, int, float, str, tuple, set, type(None)})
# These hooks are a part of the network: they compute a weight from its parameters before every pass.
REPARAMETRISATIONS = (WeightNorm, SpectralNorm, BasePruningMethod)


def make_twin(module: nn.Module) -> nn.Module:
    """Return a copy of the tree, as made by `copy_tree`, that takes float32 images whatever the network's precision.

    Half-precision logits are returned as float32.
    """
    twin, dtype = copy_tree(module), precision_of(module)
    if dtype != torch.float32:
        twin.register_forward_pre_hook(lambda _, given: _cast(given, dtype))
        twin.register_forward_hook(lambda _, __, logits: _cast(logits, torch.float32) if dtype.itemsize < 4 else logits)
    return twin


def copy_tree(module: nn.Module) -> nn.Module:
    """Return a copy of the tree that shares every parameter, in evaluation mode and without the module's hooks.

    Parametrizations, weight norm and pruning keep working. Buffers are copied, because some layers write to them in every pass;
    parameters created under `torch.inference_mode` are copied too, because nothing can be differentiated through them.
    """
    copier = _Copier()
    with torch.inference_mode(mode=False), torch.no_grad():
        twin = copier.module(module)
    copier.redirect()
    return twin


def precision_of(module: nn.Module) -> torch.dtype:
    """Return the number type that a module computes in: that of its first floating-point parameter."""
    return next((each.dtype for each in module.parameters() if each.is_floating_point()), torch.float32)


class _Copier:
    """Copies a tree of modules, each module and tensor once, wherever it is registered.

    Several times faster than `copy.deepcopy`, which visits every value of every module.
    """

    def __init__(self) -> None:
        self._modules: dict[int, nn.Module] = {}
        self._tensors: dict[int, Tensor] = {}
        # Values that may contain a module of the tree, by the module that has them and the attribute's name.
        self._references: list[tuple[dict[str, Any], str]] = []

    def module(self, module: nn.Module) -> nn.Module:
        found = self._modules.get(id(module))
        if found is not None:
            return found
        # Not the class's own __new__: that of torch.fx creates a new class, which lacks the compiled forward pass.
        twin: nn.Module = object.__new__(type(module))
        self._modules[id(module)] = twin
        own = vars(twin)
        for name, value in vars(module).items():
            # Most values are plain and most dicts empty, so the quick checks come first.
            if type(value) in PLAIN:
                own[name] = value
            elif isinstance(value, dict) and not value:
                own[name] = type(value)()
            else:
                own[name] = self._value(own, name, value)
        own["training"], own["_is_full_backward_hook"] = False, None
        self._own_tensors(own["_buffers"], own["_parameters"])
        children = own["_modules"]
        for name, child in children.items():
            children[name] = None if child is None else self.module(child)
        return twin

    def redirect(self) -> None:
        """Redirect references to a module of the tree, other than as a child, to its twin."""
        for own, name in self._references:
            own[name] = self._redirected(own[name])

    def _value(self, own: dict[str, Any], name: str, value: Any) -> Any:  # noqa: ANN401 - any attribute
        if isinstance(value, dict):
            if name in HOOKS:
                return _kept_hooks(value) if name == PRE_HOOKS else type(value)()
            if name not in TORCHS_OWN:
                self._references.append((own, name))
            return value.copy()
        if isinstance(value, MethodType | partial | nn.Module | list):
            self._references.append((own, name))
        elif isinstance(value, Tensor) and value.is_inference():
            return self._tensor(value, copied=True)
        return value

    def _own_tensors(self, buffers: dict[str, Tensor | None], parameters: dict[str, nn.Parameter | None]) -> None:
        for name, buffer in buffers.items():
            if buffer is not None:
                buffers[name] = self._tensor(buffer, copied=True)
        for name, parameter in parameters.items():
            if parameter is not None and (parameter.requires_grad or parameter.is_inference()):
                parameters[name] = self._tensor(parameter, copied=parameter.is_inference())  # type: ignore[assignment]  # it is one

    def _tensor(self, tensor: Tensor, *, copied: bool) -> Tensor:
        if id(tensor) not in self._tensors:
            values = tensor.detach().clone() if copied else tensor.detach()
            is_parameter = isinstance(tensor, nn.Parameter)
            self._tensors[id(tensor)] = nn.Parameter(values, requires_grad=False) if is_parameter else values
        return self._tensors[id(tensor)]

    def _redirected(self, value: Any) -> Any:  # noqa: ANN401 - any attribute
        if isinstance(value, nn.Module):
            return self._modules.get(id(value), value)
        if isinstance(value, MethodType):
            return MethodType(value.__func__, self._redirected(value.__self__))
        if isinstance(value, partial):
            keywords = {name: self._redirected(each) for name, each in value.keywords.items()}
            return partial(self._redirected(value.func), *map(self._redirected, value.args), **keywords)
        if type(value) is list:
            return [self._redirected(each) for each in value]
        if type(value) is dict:
            return {name: self._redirected(each) for name, each in value.items()}
        return value


def _kept_hooks(hooks: dict[int, Any]) -> dict[int, Any]:
    kept = type(hooks)()
    kept.update({number: hook for number, hook in hooks.items() if isinstance(hook, REPARAMETRISATIONS)})
    return kept


def _cast(given: Any, dtype: torch.dtype) -> Any:  # noqa: ANN401 - whatever a module takes or gives
    if isinstance(given, Tensor):
        return given.to(dtype) if given.is_floating_point() else given
    return tuple(_cast(each, dtype) for each in given) if isinstance(given, tuple) else given
