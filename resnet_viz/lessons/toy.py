"""The toy: a small network learns x + sin(3x), once by computing all of it and once with a skip connection that adds x.

Both networks have the same layers and initial weights, and are trained on the same points: y = N(x) without the skip
connection, y = x + N(x) with it, so that N need only learn sin(3x). Narrow networks gain much from it; with a width of 32 both
fit well.
"""

import math
from dataclasses import dataclass

import numpy as np

from resnet_viz.analyses.activations import Array
from resnet_viz.progress import OnPartial, ignore_progress

REACH, POINTS = 4.0, 161
STEPS, FRAMES, RATE = 3000, 40, 4e-3
# torch would multiply wider layers in several threads.
WIDTHS = (8, 16, 32)
MOST_STEPS = 5000


@dataclass(frozen=True, eq=False)
class ToyFit:
    """Both networks at `steps`: the output of their layers at `x` (points,), (frames, points), without the x of the skip."""

    width: int
    x: Array
    steps: Array
    without: Array
    beside: Array

    @property
    def target(self) -> Array:
        """The target: x + sin(3x)."""
        wanted: Array = self.x + np.sin(3 * self.x)
        return wanted

    @property
    def errors(self) -> tuple[Array, Array]:
        """Root mean square errors of the predictions at each step, (frames,): without and with the skip connection."""
        return _rms(self.without - self.target), _rms(self.x + self.beside - self.target)

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.without.nbytes + self.beside.nbytes


def fit(width: int = 16, steps: int = STEPS, seed: int = 0, on_step: OnPartial[Array] = ignore_progress) -> ToyFit:
    """Fit both, one step each in turn; ValueError for a width or a number of steps that is not offered."""
    if width not in WIDTHS:
        raise ValueError(f"The width {width} is not one of {', '.join(map(str, WIDTHS))}: choose one of these.")
    if not FRAMES <= steps <= MOST_STEPS:
        raise ValueError(f"{steps} steps are out of range: choose between {FRAMES} and {MOST_STEPS}.")
    x = _points()[:, None]
    target = x + np.sin(3 * x)
    learners = [_Learner(width, seed, skip=skip) for skip in (False, True)]
    kept = moments(steps)
    frames: list[list[Array]] = []
    so_far: Array | None = None
    for step in range(steps + 1):
        if step in kept:
            frames.append([learner.made(x) for learner in learners])
            so_far = np.array(frames, np.float32).swapaxes(0, 1)
        on_step(step, steps, so_far)
        if step < steps:
            for learner in learners:
                learner.advance(x, target)
    return of_frames(width, steps, np.array(frames, np.float32).swapaxes(0, 1))


def of_frames(width: int, steps: int, frames: Array) -> ToyFit:
    """Make a fit of the frames so far, (2, frames, points), out of this many steps."""
    return ToyFit(width, _points(), np.array(sorted(moments(steps))[: frames.shape[1]], np.float32), frames[0], frames[1])


def moments(steps: int) -> set[int]:
    """The steps at which a frame is kept: close together at first, where the fit changes most."""
    return {round(steps * (frame / FRAMES) ** 2) for frame in range(FRAMES + 1)}


class _Learner:
    """1 -> width -> width -> 1 with tanh between, and Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980).

    Written in NumPy style for one thread: with layers this small, synchronising torch's threads takes longer than the
    multiplication.
    """

    def __init__(self, width: int, seed: int, *, skip: bool) -> None:
        random = np.random.default_rng(seed)
        self.skip, self.taken = skip, 0
        self.parameters: list[Array] = []
        for inputs, outputs in ((1, width), (width, width), (width, 1)):
            bound = math.sqrt(1 / inputs)
            for shape in ((inputs, outputs), (outputs,)):
                self.parameters.append(random.uniform(-bound, bound, shape).astype(np.float32))
        self.means = [np.zeros_like(each) for each in self.parameters]
        self.squares = [np.zeros_like(each) for each in self.parameters]

    def network(self, x: Array) -> tuple[Array, Array, Array]:
        """Both hidden layers and N(x), (points, 1)."""
        w1, b1, w2, b2, w3, b3 = self.parameters
        first: Array = np.tanh(x @ w1 + b1)
        second: Array = np.tanh(first @ w2 + b2)
        return first, second, second @ w3 + b3

    def gradients(self, x: Array, target: Array) -> list[Array]:
        """The gradients of the mean squared error, in the order of the parameters."""
        _, _, w2, _, w3, _ = self.parameters
        first, second, made = self.network(x)
        back3 = 2 / len(x) * ((x + made if self.skip else made) - target)
        back2 = back3 @ w3.T * (1 - second**2)
        back1 = back2 @ w2.T * (1 - first**2)
        return [x.T @ back1, back1.sum(0), first.T @ back2, back2.sum(0), second.T @ back3, back3.sum(0)]

    def advance(self, x: Array, target: Array) -> None:
        """Take one step."""
        self.taken += 1
        rate = RATE * math.sqrt(1 - 0.999**self.taken) / (1 - 0.9**self.taken)
        for index, gradient in enumerate(self.gradients(x, target)):
            self.means[index] += 0.1 * (gradient - self.means[index])
            self.squares[index] += 0.001 * (gradient**2 - self.squares[index])
            self.parameters[index] -= rate * self.means[index] / (np.sqrt(self.squares[index]) + 1e-8)

    def made(self, x: Array) -> Array:
        """N(x), (points,)."""
        return self.network(x)[-1][:, 0]


def _points() -> Array:
    return np.linspace(-REACH, REACH, POINTS, dtype=np.float32)


def _rms(values: Array) -> Array:
    found: Array = np.sqrt(np.square(values).mean(-1)).astype(np.float32)
    return found
