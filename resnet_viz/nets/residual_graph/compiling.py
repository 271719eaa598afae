"""From a graph to a function, whose code finds the layers of a network quickly.

torch.fx writes `getattr(self.layer1, "0").conv1`, for which torch runs three functions in Python; in a ResNet-50, they took a
hundredth of a pass. The dicts of a module's children have the same entries, also after one of them was replaced.
"""

import ast
from collections.abc import Callable
from typing import Any

from torch import Tensor, fx, nn


def compiled(graph: fx.Graph, tree: nn.Module) -> Callable[..., Tensor]:
    """Make a function (network, *inputs) from a graph, as torch.fx does for a module; `tree` has the modules of the network."""
    code = graph.python_code("self")
    space: dict[str, Any] = dict(code.globals)
    source = ast.parse(code.src)
    _Children(tree).visit(source)
    ast.fix_missing_locations(source)
    exec(compile(source, "<residual graph>", "exec"), space)  # noqa: S102 - torch.fx wrote it from the nodes of the graph
    function: Callable[..., Tensor] = space["forward"]
    return function


class _Children(ast.NodeTransformer):
    """Reads modules from the dicts of their parents, instead of as attributes."""

    def __init__(self, tree: nn.Module) -> None:
        self._modules = dict(tree.named_modules(remove_duplicate=False))

    def visit(self, node: ast.AST) -> ast.AST:
        """Replace `self.layer1` and `getattr(self.layer1, "0")`, and visit what is inside of anything else."""
        path = _path(node)
        return self._read(path) or node if path else self.generic_visit(node)

    def _read(self, path: list[str]) -> ast.expr | None:
        expression: ast.expr = ast.Name("self", ast.Load())
        for number, name in enumerate(path):
            if ".".join(path[: number + 1]) in self._modules:
                children = ast.Attribute(expression, "_modules", ast.Load())
                expression = ast.Subscript(children, ast.Constant(name), ast.Load())
            elif number < len(path) - 1:
                return None
            else:
                # A parameter, a buffer or another tensor.
                expression = ast.Attribute(expression, name, ast.Load())
        return expression


def _path(node: ast.AST) -> list[str]:
    """Return the names on the way from the network to what an expression reads; [] for any other expression."""
    match node:
        case ast.Attribute(owner, name) | ast.Call(ast.Name("getattr"), [owner, ast.Constant(str(name))]):
            if isinstance(owner, ast.Name):
                return [name] if owner.id == "self" else []
            before = _path(owner)
            return [*before, name] if before else []
    return []
