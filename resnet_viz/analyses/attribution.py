"""Which pixels raise a class's logit? Ten attribution methods with one interface, and what each map sums to."""

import time
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.activations import Array, array
from resnet_viz.analyses.context import explain
from resnet_viz.analyses.method_options import check_options
from resnet_viz.analyses.methods import METHODS, Method
from resnet_viz.display import InNotebooks
from resnet_viz.nets.net import Net
from resnet_viz.progress import OnPartial


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(InNotebooks):
    """The attribution of each pixel to the target's logit by one method.

    `attributions` are float32 (3, H, W) on the pixels that the network receives, `seen` is uint8 (H, W, 3). For methods with a
    baseline, `difference` is logit(image) - logit(baseline), and `delta` is the attributions' sum minus it; for others both are
    None. `cells` (h, w) is the map before it was enlarged to the pixels, for methods that work on a block's feature maps; else
    None.
    """

    method: str
    options: dict[str, Any]
    model: str
    device: str
    target: int
    target_label: str
    seen: NDArray[np.uint8]
    attributions: Array
    difference: float | None
    delta: float | None
    seconds: float
    cells: Array | None = None

    @property
    def map(self) -> Array:
        """The sum over the three colour channels, signed, (H, W)."""
        total: Array = self.attributions.sum(0)
        return total

    @property
    def relative_delta(self) -> float | None:
        """|delta| as a share of |logit(image) - logit(baseline)|; None if the method has no baseline or the difference is 0."""
        if self.delta is None or not self.difference:
            return None
        return abs(self.delta / self.difference)

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return int(self.seen.nbytes + self.attributions.nbytes + (0 if self.cells is None else self.cells.nbytes))


def attribute(
    net: Net,
    image: Image.Image,
    method: str = "integrated_gradients",
    target: int | str | None = None,
    *,
    on_progress: OnPartial[Array] | None = None,
    **options: Any,  # noqa: ANN401 - each method's own, checked below
) -> Attribution:
    """Explain the logit of a class, by default the predicted one, by one of `resnet_viz.METHODS` on a twin of the network.

    `options` are the fields of the method's options class, for example `steps=64, baseline="blur"` for "integrated_gradients".
    `on_progress(done, total, map)` is called after each pass; an exception that it raises cancels. ValueError for an unknown
    method, option, class, block or place.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown: choose one of {', '.join(map(repr, METHODS))}")
    chosen = _options(METHODS[method], options)
    started = time.perf_counter()

    def tick(done: int, total: int, partial: Tensor | None) -> None:
        if on_progress is not None:
            on_progress(done, total, None if partial is None else array(partial.sum(1)))

    with torch.inference_mode(mode=False), torch.enable_grad():
        explained = explain(net, image, target)
        result = METHODS[method].run(explained, chosen, tick)
        difference = None if result.baseline is None else explained.difference(result.baseline)
    attributions = array(result.attributions)
    return Attribution(
        method=method,
        options=asdict(chosen),
        model=net.name,
        device=str(net.device),
        target=explained.target,
        target_label=net.labels[explained.target],
        seen=np.asarray(explained.seen),
        attributions=attributions,
        difference=difference,
        delta=None if difference is None else float(attributions.sum(dtype=np.float64)) - difference,
        seconds=time.perf_counter() - started,
        cells=None if result.cells is None else array(result.cells[0]),
    )


def _options(method: Method, given: dict[str, Any]) -> Any:  # noqa: ANN401 - the method's options class
    known = [field.name for field in fields(method.options)]
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise ValueError(f"{method.title} has no option {unknown!r}; it has {', '.join(known) or 'none'}")
    check_options(method.options, given)
    return method.options(**given)
