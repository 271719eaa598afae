"""Training the super-resolution networks on patches of photos, all on the same patches, with bicubic for comparison.

Every random choice in a step comes from a generator seeded by (seed, step), and the learning rate is a function of the step.
Therefore two networks get the same patches, and a resumed run gives the same result as an uninterrupted one.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from resnet_viz import assets
from resnet_viz.analyses.activations import Array
from resnet_viz.images import open_image
from resnet_viz.lessons.super_resolution import FACTORS, MULTIPLE, SIDE, Picture, Quality, degrade, luminance, psnr, ssim, view
from resnet_viz.lessons.super_resolution_nets import DESIGNS, SuperResolver, build, multiply_adds, parameters
from resnet_viz.progress import OnPartial, ignore_progress

TRAINING_PHOTOS = ("coffee-photo.jpg", "flower-photo.jpg", "pagoda-photo.jpg", "raccoon-photo.jpg", "rocket-photo.jpg")
VALIDATION_PHOTOS = ("astronaut-photo.jpg", "cat-photo.jpg")
# The size of the middle of each validation photo that a curve is measured on.
WINDOW = 120
WARM_UP = 0.05


@dataclass(frozen=True)
class SuperResolutionRecipe:
    """Adam on the mean squared error. The learning rate rises linearly over 5% of the steps, then follows a cosine to 0.

    `patch` is the side of a target patch in pixels, a multiple of 12, and each batch uses one of the `factors`. `heights` are
    the shorter sides that the training photos are scaled to.
    """

    depth: int = 20
    channels: int = 16
    factors: tuple[int, ...] = FACTORS
    steps: int = 2500
    batch: int = 8
    patch: int = 36
    rate: float = 1e-3
    heights: tuple[int, ...] = (240, 340)
    seed: int = 0

    def learning_rate(self, step: int) -> float:
        """The learning rate of the step with this number, from 0."""
        rising = max(1, round(WARM_UP * self.steps))
        if step < rising:
            return self.rate * (step + 1) / rising
        return self.rate * (1 + math.cos(math.pi * (step - rising) / max(1, self.steps - rising))) / 2


@dataclass(frozen=True, eq=False)
class TrainingPhoto:
    """Luminances / 255 of a photo: the target (H, W), and per factor the low-resolution image and its upsampled version."""

    target: Tensor
    low: dict[int, Tensor]
    upsampled: dict[int, Tensor]


@dataclass(frozen=True, eq=False)
class Trial:
    """One network's progress: PSNR in dB on the validation photos at each of the steps, and SSIM at the last.

    `multiply_adds` are those for one pixel of the target; `seconds` is the time that the steps took.
    """

    name: str
    parameters: int
    multiply_adds: float
    psnr: Array
    ssim: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Trials:
    """Networks trained side by side for one factor, and the PSNR of bicubic interpolation on the same photos."""

    factor: int
    depth: int
    steps: Array
    bicubic: Quality
    trials: tuple[Trial, ...]

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.steps.nbytes + sum(trial.psnr.nbytes for trial in self.trials)


class Training:
    """One network during training: `advance` takes steps, `measure` evaluates the network."""

    def __init__(self, name: str, recipe: SuperResolutionRecipe) -> None:
        self.name, self.recipe, self.step, self.seconds = name, recipe, 0, 0.0
        self.net = build(name, recipe.depth, recipe.channels, recipe.factors, recipe.seed)
        self.net.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=recipe.rate)

    def advance(self) -> None:
        """Take one step."""
        started = time.perf_counter()
        factor, target, low, upsampled = batch(self.recipe, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate(self.step)
        loss = F.mse_loss(self.net(upsampled, low, factor), target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        self.seconds += time.perf_counter() - started


def train_all(
    factor: int, depth: int = 12, steps: int = 300, rate: float = 1e-3, on_step: OnPartial[Array] | None = None
) -> Trials:
    """Train all four side by side at a small scale that can be watched live: batches of 4, one factor, photos of one size.

    `on_step` is called after every step. Its partial result is (points, 2 + networks): the step, then the PSNR of bicubic and
    of each network in dB. A training that an exception of `on_step` stopped resumes there when it is called again in this
    process, as long as it is one of the last few. ValueError for settings outside the range for a live training.
    """
    _check(factor, depth, steps, rate)
    report = on_step or ignore_progress
    report(0, steps, None)
    recipe = SuperResolutionRecipe(depth, 16, (factor,), steps, batch=4, rate=rate, heights=(SIDE,))
    moments = [*moments_of(steps), steps]
    given = bicubic_psnr(factor)
    trainings, rows = _take_paused(recipe) or ([Training(name, recipe) for name in DESIGNS], [])
    rows = rows or [_psnrs(trainings, factor)]
    try:
        for moment in moments[len(rows) :]:
            so_far = np.array([[at, given, *row] for at, row in zip(moments, rows, strict=False)], np.float32)
            for training in _in_turn(trainings, moment):
                report(training.step, steps, so_far)
                training.advance()
            rows.append(_psnrs(trainings, factor))
    except Exception:
        _pause(recipe, trainings, rows)
        raise
    trials = tuple(_trial(training, factor, [row[column] for row in rows]) for column, training in enumerate(trainings))
    return Trials(factor, depth, np.array(moments, np.float32), bicubic(factor), trials)


def _in_turn(trainings: list[Training], until: int) -> Iterator[Training]:
    """Each training in turn, those that are a step behind first, until all have taken `until` steps."""
    while True:
        behind = min(trainings, key=lambda training: training.step)
        if behind.step == until:
            return
        yield behind


# Trainings that were stopped, the latest last: four small networks each.
MOST_PAUSED = 4
_paused: OrderedDict[SuperResolutionRecipe, tuple[list[Training], list[list[float]]]] = OrderedDict()
_pausing = threading.Lock()


def _take_paused(recipe: SuperResolutionRecipe) -> tuple[list[Training], list[list[float]]] | None:
    with _pausing:
        return _paused.pop(recipe, None)


def _pause(recipe: SuperResolutionRecipe, trainings: list[Training], rows: list[list[float]]) -> None:
    with _pausing:
        _paused[recipe] = trainings, rows
        while len(_paused) > MOST_PAUSED:
            _paused.popitem(last=False)


def batch(recipe: SuperResolutionRecipe, step: int) -> tuple[int, Tensor, Tensor, Tensor]:
    """Return the factor and the patches of a step, (N, 1, H, W): target, low and upsampled, rotated and mirrored alike."""
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    photos = training_photos(recipe.heights)

    def draw(choices: int) -> int:
        return int(torch.randint(choices, (1,), generator=generator))

    factor = recipe.factors[draw(len(recipe.factors))]
    size, small = recipe.patch, recipe.patch // factor
    patches: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(recipe.batch):
        photo = photos[draw(len(photos))]
        height, width = photo.target.shape
        top, left = (MULTIPLE * draw((length - size) // MULTIPLE + 1) for length in (height, width))
        row, column, turns, mirrored = top // factor, left // factor, draw(4), draw(2)
        cut = (
            photo.target[top : top + size, left : left + size],
            photo.low[factor][row : row + small, column : column + small],
            photo.upsampled[factor][top : top + size, left : left + size],
        )
        turned = [torch.rot90(each, turns) for each in cut]
        patches.append(tuple(each.flip(1) if mirrored else each for each in turned))  # type: ignore[arg-type]  # three
    target, low, upsampled = (torch.stack(each)[:, None] for each in zip(*patches, strict=True))
    return factor, target, low, upsampled


@torch.no_grad()
def measure(net: SuperResolver, factor: int, window: int = WINDOW) -> Quality:
    """PSNR in dB and SSIM of a network on the middle of the validation photos, which are not part of its training set."""
    target, low, upsampled = _validation(factor, window)
    values = 255 * net(upsampled, low, factor).clamp(0, 1)
    return Quality(psnr(values, 255 * target), ssim(values, 255 * target))


def bicubic(factor: int, window: int = WINDOW) -> Quality:
    """Measure bicubic interpolation alone in the same way."""
    target, _, upsampled = _validation(factor, window)
    return Quality(psnr(255 * upsampled, 255 * target), ssim(255 * upsampled, 255 * target))


def bicubic_psnr(factor: int) -> float:
    """PSNR of bicubic interpolation alone, in dB."""
    target, _, upsampled = _validation(factor, WINDOW)
    return psnr(255 * upsampled, 255 * target)


def moments_of(steps: int) -> list[int]:
    """The steps before the last at which a curve is measured: frequent at first, then equally spaced."""
    every = max(1, steps // 20)
    early = [moment for moment in (0, 5, 10, 25, 50) if moment < every]
    return [*early, *range(every, steps, every)]


@cache
def training_photos(heights: tuple[int, ...]) -> tuple[TrainingPhoto, ...]:
    """The training photos, at each height of the shorter side."""
    return tuple(_photo(_scaled(name, height)) for name in TRAINING_PHOTOS for height in heights)


@cache
def validation_photos() -> tuple[TrainingPhoto, ...]:
    """The validation photos, on which curves are measured, at the size that a lesson shows."""
    return tuple(_photo(view(open_image(assets.SAMPLES_FOLDER / name))) for name in VALIDATION_PHOTOS)


def prepare() -> None:
    """Load what a training needs, which takes a second or two, before somebody waits for it."""
    training_photos((SIDE,))
    bicubic(FACTORS[0])


def _check(factor: int, depth: int, steps: int, rate: float) -> None:
    if factor not in FACTORS:
        raise ValueError(f"The factor {factor} is not one of {', '.join(map(str, FACTORS))}: choose one of these.")
    if not 4 <= depth <= 20:
        raise ValueError(f"{depth} layers take too long to train live. Choose 4 to 20.")
    if not 1 <= steps <= 1000:
        raise ValueError(f"{steps} steps cannot be trained live. Choose 1 to 1000.")
    if not 0 < rate <= 0.1:
        raise ValueError(f"A learning rate of {rate:g} is out of range. Choose one above 0, up to 0.1.")


@torch.no_grad()
def _psnrs(trainings: Sequence[Training], factor: int) -> list[float]:
    """PSNR alone: a curve has many points, and SSIM would take longer than the networks."""
    target, low, upsampled = _validation(factor, WINDOW)
    return [psnr(255 * training.net(upsampled, low, factor).clamp(0, 1), 255 * target) for training in trainings]


def _trial(training: Training, factor: int, curve: Sequence[float]) -> Trial:
    return Trial(
        training.name,
        parameters(training.net),
        multiply_adds(training.net, factor),
        np.array(curve, np.float32),
        measure(training.net, factor).ssim,
        training.seconds,
    )


def _validation(factor: int, window: int) -> tuple[Tensor, Tensor, Tensor]:
    """Target, low and upsampled version of the middle of the validation photos, (N, 1, H, W) / 255."""
    photos = validation_photos()
    start = (SIDE - window) // 2
    large, small = slice(start, start + window), slice(start // factor, (start + window) // factor)
    return (
        torch.stack([photo.target[large, large] for photo in photos])[:, None],
        torch.stack([photo.low[factor][small, small] for photo in photos])[:, None],
        torch.stack([photo.upsampled[factor][large, large] for photo in photos])[:, None],
    )


def _scaled(name: str, height: int) -> Picture:
    """A photo with its shorter side scaled to `height`, cropped to multiples of 12."""
    image = open_image(assets.SAMPLES_FOLDER / name)
    size = [round(length * height / min(image.size)) for length in image.size]
    image = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    width, height = (length // MULTIPLE * MULTIPLE for length in image.size)
    return np.asarray(image.crop((0, 0, width, height)))


def _photo(target: Picture) -> TrainingPhoto:
    made = {factor: degrade(target, factor) for factor in FACTORS}
    low = {factor: _tensor(pictures[0]) for factor, pictures in made.items()}
    return TrainingPhoto(_tensor(target), low, {factor: _tensor(pictures[1]) for factor, pictures in made.items()})


def _tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(luminance(picture) / 255)
