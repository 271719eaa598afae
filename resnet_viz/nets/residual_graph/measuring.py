"""One pass over a graph, node by node: every tensor's shape, and the multiply-adds to compute it."""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


def measure_nodes(graph: fx.Graph, tree: nn.Module, pixels: Tensor) -> None:
    """Run a graph and store in every node's `meta`: `data`, `shape`, `size`, `complex` and `multiply_adds`.

    `data` says whether it holds a tensor, or several, that depend on the image; `shape` is the shape of one such tensor, else
    None; `size` the shape of any tensor; `complex` says whether its numbers are complex; `multiply_adds` are those of all
    images, as counted by torch.
    """
    # With gradients, as in the analyses: without them, attention uses another implementation, in which nothing is counted.
    with torch.enable_grad():
        _Meter(tree, graph).run(pixels.clone().requires_grad_().mul(1))
    for node in graph.nodes:
        depends = node.op == "placeholder" or any(source.meta["data"] for source in node.all_input_nodes)
        node.meta["data"] = depends and node.meta["tensor"]
        node.meta["shape"] = node.meta["size"] if node.meta["data"] else None


class _Meter(fx.Interpreter):
    """Runs a graph and records the result and the cost of each node."""

    def __init__(self, tree: nn.Module, graph: fx.Graph) -> None:
        super().__init__(tree, graph=graph)
        self._counter = _Counter()

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 - as in torch
        before = self._counter.multiply_adds
        with self._counter:
            value = super().run_node(n)
        several = isinstance(value, tuple | list) and any(isinstance(entry, Tensor) for entry in value)
        n.meta |= {
            "tensor": several or isinstance(value, Tensor),
            "size": tuple(value.shape) if isinstance(value, Tensor) else None,
            "complex": isinstance(value, Tensor) and value.is_complex(),
            "multiply_adds": self._counter.multiply_adds - before,
        }
        return value


class _Counter(TorchDispatchMode):
    """Counts the multiply-adds of this thread; torch's own counter hooks the modules of every thread."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.multiply_adds = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - as in torch
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            # A multiplication and an addition are counted separately.
            self.multiply_adds += count(*args, **(kwargs or {}), out_val=result) // 2
        return result
