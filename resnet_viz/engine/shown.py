"""Networks that a running program shows in the app: the program computes, and the app sends it requests over HTTP.

A user's module can be neither sent nor pickled, so it stays in the program. The app gets what it needs to know about the
module, its classes and parts, as a message from the route `SHOWN`, which is added to the routes of every engine.
"""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from torchvision.transforms import InterpolationMode

from resnet_viz.engine.ingress import BINARY, ingress
from resnet_viz.engine.local import LocalEngine
from resnet_viz.engine.wire import encode
from resnet_viz.nets.architecture import Part, architecture
from resnet_viz.nets.cell_centres import layers_are_centred
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.net import Net
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.zoo import ModelInfo

SHOWN = "/shown"
# Links to such a network begin with this prefix.
PREFIX = "shown/"


@dataclass(frozen=True)
class ShownNetwork:
    """What the app knows about a network; `key` names it in jobs, and changes each time that the network is shown.

    `resize`, `crop`, `mean`, `std` and `interpolation` are those of its preprocessing. `centred` says whether its strided
    layers are centred (see `cell_centres`).
    """

    key: str
    info: ModelInfo
    labels: tuple[str, ...]
    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    centred: bool
    blocks: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of photos for the network."""
        return Preprocessing(self.resize, self.crop, self.mean, self.std, InterpolationMode(self.interpolation))


CATALOGUE = tuple[ShownNetwork, ...]


def shown_network(net: Net, name: str, key: str) -> ShownNetwork:
    """Describe a network for the app, under the name that links use."""
    parts, blocks, seen = architecture(net), net.blocks, net.preprocessing
    params = count_parameters(net.module)
    kinds = {block.shortcut_kind for block in blocks.values()} - {"identity"}
    info = ModelInfo(
        name=name,
        title=net.title,
        task=f"{len(net.labels):,} classes",
        depth=0,
        blocks=len(blocks),
        shortcut=", ".join(sorted(kinds)) or "identity",
        params=params,
        size=4 * params,
        source="module",
        here=True,
        note=net.weights.note,
        family="shown from Python",
    )
    return ShownNetwork(
        key=key,
        info=info,
        labels=net.labels,
        resize=seen.resize,
        crop=seen.crop,
        mean=seen.mean,
        std=seen.std,
        interpolation=seen.interpolation.value,
        centred=layers_are_centred(net.module),
        blocks=tuple(blocks),
        parts=parts,
    )


def routes(engine: LocalEngine, token: str, shown: Callable[[], CATALOGUE]) -> Starlette:
    """Return the routes of an engine and the route that lists the shown networks, for clients that send the token."""

    async def answer(_: Request) -> Response:
        return Response(encode(shown()), media_type=BINARY)

    app = ingress(engine, token)
    app.router.routes.append(Route(SHOWN, answer, methods=["GET"]))
    return app
