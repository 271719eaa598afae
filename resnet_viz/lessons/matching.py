"""Where shapes change: what the mismatch is, which shortcut resolves it, and how much of the input survives.

Options A and B of He et al. 2015 (https://arxiv.org/abs/1512.03385, section 3.3): every second pixel and channels of zeros, or
a 1x1 convolution with stride 2. `run` applies both to real features, or to an image's own three channels.
"""

import copy
from dataclasses import dataclass
from typing import Literal, cast

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import functional as transforms

from resnet_viz import assets
from resnet_viz.analyses.activations import Array, array
from resnet_viz.analyses.capture import recording
from resnet_viz.images import ImageError, open_image, upright_rgb
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.initialisation import initialise
from resnet_viz.nets.known_layers import layers_of, require_known_layers
from resnet_viz.nets.layers import ZeroPad
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.twins import copy_tree
from resnet_viz.nets.zoo import read_card
from resnet_viz.progress import OnProgress

FeatureShape = tuple[int, int, int]
MatchingOption = Literal["identity", "A", "B"]

# The image itself as an example: 3 channels of 64x64 pixels become 6 channels of 32x32.
PICTURE, PICTURE_SIDE, PICTURE_CHANNELS = "picture", 64, 6
LARGEST = 4096

# float32 features that depend linearly on one another do so only up to rounding; the rounding error is not a predictor.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Offer:
    """The output shape of a shortcut, or None and the reason if it cannot handle the input's shape."""

    option: MatchingOption
    output: FeatureShape | None
    parameters: int
    fits: bool
    reason: str


@dataclass(frozen=True)
class Mismatch:
    """Two shapes, (C, H, W), that are to be added, and what each shortcut would do. `stride` is None if no stride fits."""

    input: FeatureShape
    output: FeatureShape
    stride: int | None
    offers: tuple[Offer, ...]

    @property
    def spatial(self) -> bool:
        """Whether height and width differ."""
        return self.input[1:] != self.output[1:]

    @property
    def channels(self) -> bool:
        """Whether the numbers of channels differ."""
        return self.input[0] != self.output[0]

    def offer(self, option: MatchingOption) -> Offer:
        """What one shortcut would do."""
        return next(offer for offer in self.offers if offer.option == option)


@dataclass(frozen=True)
class Survival:
    """Linear R2 of the input's values from a shortcut's output: of the pixels that the stride keeps, of the others, of all.

    1 means that all variance is explained, 0 means no better than the mean. The linear map has a constant term and is fitted to
    other images of the gallery than the one that it is evaluated on.
    """

    kept: float
    skipped: float
    whole: float


@dataclass(frozen=True, eq=False)
class Matched:
    """A block's input, (C, H, W), and the outputs of options A and B for it, (C', H', W').

    `source` is "picture" or a block. `option` is the one that the network uses there. `projection` is the output of option B
    with the kernels `kernels`, (C', C), or None if the network has none there; `trained` says whether its weights are trained.
    `zeros` are the channels that are 0 in option A for any input. `parameters` are those of the projection, `batch_norm` of
    them in its batch norm. `weakest` is the ratio of the projection's smallest gain to its largest one over all directions of a
    pixel's channels.
    """

    source: str
    input: Array
    zero_padded: Array
    projected: Array | None
    kernels: Array | None
    trained: bool
    stride: int
    zeros: tuple[int, ...]
    parameters: int
    batch_norm: int
    weakest: float | None
    survives_a: Survival
    survives_b: Survival | None

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        held = (self.input, self.zero_padded, self.projected, self.kernels)
        return sum(values.nbytes for values in held if values is not None)

    @property
    def kept(self) -> tuple[int, int]:
        """How many pixels of a channel the stride keeps, and how many there were."""
        return self.zero_padded[0].size, self.input[0].size


def mismatch(given: FeatureShape, wanted: FeatureShape) -> Mismatch:
    """Compare two shapes and try every shortcut on them; ValueError if one is not a valid shape."""
    for shape in (given, wanted):
        if any(not 1 <= size <= LARGEST for size in shape):
            raise ValueError(f"{shape} is not a valid shape of features. Choose channels, height and width from 1 to {LARGEST}")
    stride = next((s for s in range(1, given[1] + 1) if _strided(given, s) == wanted[1:]), None)
    offers = (_identity(given, wanted), _zero_pad(given, wanted, stride or 1), _projection(given, wanted, stride or 1))
    return Mismatch(given, wanted, stride, offers)


def run(net: Net, image: Image.Image, source: str, *, seed: int = 0, on_step: OnProgress | None = None) -> Matched:
    """Send a block's input, or the image itself, through both options.

    `on_step(done, total)` is called after each image that the linear maps are fitted to; an exception that it raises stops the
    run. ValueError for a block that does not change the shape.
    """
    shortcut, stride, wider = _shortcut(net, source, seed)
    gallery = _gallery()
    features = []
    mine = _features(net, image, source)
    for number, each in enumerate(gallery, start=1):
        theirs = _features(net, each, source)
        if not torch.equal(mine, theirs):
            features.append(theirs)
        if on_step is not None:
            on_step(number, len(gallery))
    others = torch.cat(features)
    pad = ZeroPad(mine.shape[1], wider, stride)
    projected = None if shortcut is None else shortcut(mine)
    kernels = None if shortcut is None else _kernel(shortcut).numpy()
    padded = pad(mine)
    return Matched(
        source=source,
        input=array(mine),
        zero_padded=array(padded),
        projected=None if projected is None else array(projected),
        kernels=kernels,
        trained=source != PICTURE and net.weights.trained,
        stride=stride,
        zeros=(*range(pad.before), *range(pad.before + mine.shape[1], wider)),
        parameters=0 if shortcut is None else count_parameters(shortcut),
        batch_norm=0 if shortcut is None else count_parameters(shortcut[1]),
        weakest=None if shortcut is None else _weakest(shortcut),
        survives_a=survival(mine, padded, others, pad(others), stride),
        survives_b=None if shortcut is None else survival(mine, shortcut(mine), others, shortcut(others), stride),
    )


@torch.no_grad()
def survival(x: Tensor, y: Tensor, x_others: Tensor, y_others: Tensor, stride: int) -> Survival:
    """R2 of patches of x, (N, C, H, W), predicted from the pixel of y for each patch; the map is fitted to other images.

    Each pixel of y comes from a patch of stride x stride pixels of x, of which the first is kept.
    """
    predictors, fitted = _pixels(y_others), _pixels(_patches(x_others, stride))
    coefficients = torch.linalg.lstsq(_with_constant(predictors), fitted, rcond=ROUNDING, driver="gelsd").solution
    truth = _pixels(_patches(x, stride))
    error = (truth - _with_constant(_pixels(y)) @ coefficients).square().sum(0)
    spread = (truth - truth.mean(0)).square().sum(0)
    first = torch.arange(truth.shape[1]) % stride**2 == 0
    return Survival(_r2(error[first], spread[first]), _r2(error[~first], spread[~first]), _r2(error, spread))


def accuracies(names: tuple[str, ...]) -> dict[str, float]:
    """Test accuracies of shipped networks, from the model cards that state one."""
    found = {}
    for name in names:
        try:
            found[name] = float(read_card(name)["test_accuracy"])
        except WeightsError:
            continue
    return found


def _strided(shape: FeatureShape, stride: int) -> tuple[int, int]:
    return -(-shape[1] // stride), -(-shape[2] // stride)


def _identity(given: FeatureShape, wanted: FeatureShape) -> Offer:
    fits = given == wanted
    return Offer("identity", given, 0, fits, "the shapes are the same" if fits else f"{_x(given)} is not {_x(wanted)}")


def _zero_pad(given: FeatureShape, wanted: FeatureShape, stride: int) -> Offer:
    try:
        pad = ZeroPad(given[0], wanted[0], stride)
    except ValueError:
        return Offer("A", None, 0, fits=False, reason=f"it can append zeros to {given[0]} channels, but remove none")
    made = _shape(pad(torch.empty(1, *given, device="meta")))
    return Offer("A", made, 0, made == wanted, _verdict(made, wanted))


def _projection(given: FeatureShape, wanted: FeatureShape, stride: int) -> Offer:
    with torch.device("meta"):
        projection = _new_projection(given[0], wanted[0], stride)
        made = _shape(projection(torch.empty(1, *given)))
    return Offer("B", made, count_parameters(projection), made == wanted, _verdict(made, wanted))


def _new_projection(channels: int, wider: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, wider, 1, stride, bias=False), nn.BatchNorm2d(wider)).eval()


def _shape(features: Tensor) -> FeatureShape:
    channels, height, width = features.shape[1:]
    return channels, height, width


def _verdict(made: FeatureShape, wanted: FeatureShape) -> str:
    return f"its output is {_x(made)}" if made == wanted else f"its output is {_x(made)}, not {_x(wanted)}"


def _x(shape: FeatureShape) -> str:
    return "×".join(map(str, shape))


def _shortcut(net: Net, source: str, seed: int) -> tuple[nn.Sequential | None, int, int]:
    """The projection at this place (None if the network pads with zeros), its stride and its number of output channels."""
    if source == PICTURE:
        projection = _new_projection(3, PICTURE_CHANNELS, 2)
        initialise(projection, seed)
        return projection.requires_grad_(requires_grad=False), 2, PICTURE_CHANNELS
    require_known_layers(net.title, net.module)
    shortcuts = {name: getattr(layers_of(net.module, block), "downsample", None) for name, block in net.blocks.items()}
    made = shortcuts.get(source)
    if isinstance(made, ZeroPad):
        return None, made.stride, made.extra + net.blocks[source].facts.input_shape[0]
    if isinstance(made, nn.Sequential) and isinstance(made[0], nn.Conv2d) and made[0].kernel_size == (1, 1):
        # The features are on the CPU, whatever device the network is on.
        projection = cast("nn.Sequential", copy.deepcopy(copy_tree(made)).float().cpu())
        return projection, made[0].stride[0], made[0].out_channels
    changing = [name for name, each in shortcuts.items() if each is not None]
    raise ValueError(
        f"{net.title} has no shortcut that changes the shape at {source}: choose {' or '.join([PICTURE, *changing])}."
    )


@torch.no_grad()
def _weakest(projection: nn.Sequential) -> float:
    """Ratio of the smallest to the largest singular value of the projection of a pixel's channels, batch norm included."""
    channels = _kernel(projection).shape[1]
    pixels = torch.cat([torch.eye(channels), torch.zeros(1, channels)])[:, :, None, None]
    made = projection(pixels).flatten(1).double()
    values = torch.linalg.svdvals(made[:-1] - made[-1])
    return float(values[-1] / values[0])


def _kernel(projection: nn.Sequential) -> Tensor:
    """The 1x1 kernels, (C', C)."""
    return projection.get_parameter("0.weight").detach().flatten(1)


@torch.no_grad()
def _features(net: Net, image: Image.Image, source: str) -> Tensor:
    """The input of a block for an image, or the image's own pixels from 0 to 1, (1, C, H, W), on the CPU."""
    if source == PICTURE:
        square = transforms.center_crop(transforms.resize(upright_rgb(image), [PICTURE_SIDE]), [PICTURE_SIDE])
        pixels: Tensor = transforms.to_tensor(square)
        return pixels[None]
    with recording(net) as (run, tapes):
        run(net.preprocess(image))
    found = next(tape.input for tape in tapes if tape.name == source)
    return found.float().cpu()


def _gallery() -> list[Image.Image]:
    found = []
    for path in sorted(assets.SAMPLES_FOLDER.glob("*.jpg")):
        try:
            found.append(open_image(path))
        except ImageError:
            continue
    return found


def _patches(x: Tensor, stride: int) -> Tensor:
    """(N, C, H, W) -> (N, C * stride * stride, H', W'); the first entry of each channel is the pixel that the stride keeps."""
    return nn.functional.pixel_unshuffle(x, stride)


def _pixels(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N * H * W, C), float64."""
    return x.permute(0, 2, 3, 1).flatten(0, 2).double()


def _with_constant(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones_like(x[:, :1])], 1)


def _r2(error: Tensor, spread: Tensor) -> float:
    return float(1 - error.sum() / spread.sum()) if float(spread.sum()) > 0 else float("nan")
