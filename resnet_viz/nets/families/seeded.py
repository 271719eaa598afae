"""Random weights from a seed, independent of how the code of a network draws them and of what other threads draw."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


def build_seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return the result of `build`, with every random number drawn from a separate generator."""
    with _OwnGenerator(seed):
        return build()


class _OwnGenerator(TorchDispatchMode):
    """Passes a generator to every torch function that draws random numbers, in this thread only."""

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - as in torch
        del types
        keywords = dict(kwargs or {})
        if "generator" not in _arguments(func) and "generator" in func.overloadpacket.overloads():
            # torch.randn and similar functions have a second overload, which takes a generator.
            func = func.overloadpacket.generator
        if "generator" in _arguments(func) and keywords.get("generator") is None:
            keywords["generator"] = self._generator
        return func(*args, **keywords)


def _arguments(func: Any) -> set[str]:  # noqa: ANN401 - as in torch
    return {argument.name for argument in func._schema.arguments}  # noqa: SLF001 - a function has no other description
