"""Which of the networks that fit a checkpoint's tensors it is: what the batch norms remember decides, or a person does.

The network that fits best is compared with its neighbours, each of which differs in one answer. For a neighbour, `t` says where
the remembered statistics lie on the way from the network's own statistics, 0, to the neighbour's, 1, in the directions that
other photos would not take them. Near 0 the network is confirmed; further away, or if the norms disagree about t, it is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from resnet_viz.nets.checkpoints.assembly import CheckpointResNet
from resnet_viz.nets.checkpoints.evidence import Reached, differences_by_part, nuisances, without
from resnet_viz.progress import OnProgress, ignore_progress

# Below both of these a neighbour is ruled out by every threshold, and its logits are not computed.
CLEAR_PLACE, CLEAR_ERROR = 0.25, 0.25
# A network that is this many times as surprising as the best one after this many norms is given up.
ENOUGH_NORMS, WRONG = 6, 3.0
# By how much an unusual answer must reduce the surprise to replace the usual one; smaller differences are left to `t`.
BETTER = 0.8
# The same for a question that images hardly show; above HARD_ASKED the usual answer is kept, and in between a person is asked.
HARD_BETTER, HARD_ASKED = 0.4, 0.7
MOST_ROUNDS = 3
# From this many unusual answers on a person is asked: so many combinations fit the tensors that one fits well by accident.
COMBINED = 2
MOST_SIMPLER = 15
# Images whose logits say how much a neighbour would change.
LOGITS_OF = 24


@dataclass(frozen=True)
class DoubtLimits:
    """Where a neighbour becomes a doubt, chosen on the measurements of benchmarks/doubts.py (see benchmarks/RESULTS.md).

    From the place `near` on it is not ruled out, nor if the norms disagree about the place by more than `error`. It is a doubt
    if it would also change the logits by more than `same`. Clearer evidence is needed from the place `near_usual` on where the
    usual answer is the neighbour's, and where the norms agree about the place: to within 1/`agreed` of it.
    """

    near: float = 0.44
    error: float = 0.35
    same: float = 0.05
    near_usual: float = 0.25
    agreed: float = 6.0


LIMITS = DoubtLimits()


@dataclass(frozen=True)
class Neighbour:
    """A network that differs in one answer: its place, how far the norms disagree about that, and what it would change.

    `change` is relative to the spread of the logits over the classes; 0 where the neighbour is ruled out by any limits.
    `is_usual` says that it has the usual answer to the question.
    """

    chosen: tuple[int, ...]
    t: float
    error: float
    change: float
    is_usual: bool = False

    def is_open(self, limits: DoubtLimits = LIMITS) -> bool:
        """Whether the norms do not rule it out."""
        is_sure = self.t >= limits.agreed * self.error
        near = limits.near_usual if self.is_usual or is_sure else limits.near
        return (self.t >= near or self.error >= limits.error) and self.change > 0

    def is_doubt(self, limits: DoubtLimits = LIMITS) -> bool:
        """Whether it is not ruled out and would change too much to be passed over."""
        return self.is_open(limits) and self.change > limits.same


@dataclass(frozen=True)
class Decision:
    """The answers that fit best, and the neighbours that are not very wrong."""

    chosen: tuple[int, ...]
    neighbours: tuple[Neighbour, ...]

    @property
    def unusual(self) -> int:
        """In how many answers it departs from the usual network."""
        return sum(map(bool, self.chosen))

    @property
    def is_combined(self) -> bool:
        """Whether it departs from the usual network in several answers at once, so that a person must be asked."""
        return self.unusual >= COMBINED

    @property
    def simpler(self) -> tuple[tuple[int, ...], ...]:
        """The networks with only some of its unusual answers: those that differ least from it first."""
        ways = list(product(*((answer, 0) if answer else (0,) for answer in self.chosen)))[1:]
        return tuple(sorted(ways, key=lambda way: way.count(0))[:MOST_SIMPLER])

    @property
    def doubts(self) -> tuple[Neighbour, ...]:
        """The neighbours that a person must be asked about."""
        return tuple(each for each in self.neighbours if each.is_doubt())

    @property
    def slight(self) -> tuple[Neighbour, ...]:
        """The neighbours that are not ruled out and would change too little to matter."""
        return tuple(each for each in self.neighbours if each.is_open() and not each.is_doubt())


Build = Callable[[Sequence[int]], CheckpointResNet]
# For each question the first part of the network that each answer changes.
FirstParts = Sequence[Sequence[int]]


@torch.no_grad()
def decide(
    build: Build, firsts: FirstParts, images: Tensor, on_step: OnProgress = ignore_progress, hard: int | None = None
) -> Decision:
    """Find the answers whose network sees most nearly what its norms remember.

    `build` makes the network of some answers, with its weights; `firsts` says for each question and answer which part of the
    network is the first to change, and so how many answers there are. Each question is gone through with the others' best
    answers, until nothing changes. `on_step` gets how many networks were run, of about how many. `hard` is a question that the
    images show badly, so that only a large difference counts.
    """
    search = _Search(build, firsts, images, on_step, hard)
    chosen = (0,) * len(firsts)
    search.start_from(chosen)
    for _ in range(MOST_ROUNDS):
        before = chosen
        for question, answers in enumerate(firsts):
            choices = [_answered(chosen, question, answer) for answer in range(len(answers))]
            best = min(choices, key=search.surprise)
            enough = HARD_BETTER if question == hard else BETTER
            if best != chosen and search.surprise(best) < enough * search.surprise(chosen):
                chosen = best
                search.start_from(chosen)
        if chosen == before:
            break
    return search.decision(chosen)


def _answered(chosen: tuple[int, ...], question: int, answer: int) -> tuple[int, ...]:
    return (*chosen[:question], answer, *chosen[question + 1 :])


class _Search:
    """The differences of every network that was tried, each run once, from where it differs from the best one so far."""

    def __init__(self, build: Build, firsts: FirstParts, images: Tensor, on_step: OnProgress, hard: int | None = None) -> None:
        self._build, self._firsts, self._images, self._on_step, self._hard = build, firsts, images, on_step, hard
        # Every neighbour, the network itself, and other photos for its directions.
        self._total = sum(len(answers) - 1 for answers in firsts) + 2
        self._found: dict[tuple[int, ...], tuple[Tensor, ...]] = {}
        self._runs = 0
        self._base: tuple[int, ...] = ()
        self._passed: list[Reached] = []
        # Mean surprise of the best network after each number of norms.
        self._course: list[float] = []

    def start_from(self, chosen: tuple[int, ...]) -> None:
        """Let later networks share the pass of this one, and be measured by it."""
        self._course, self._passed, self._base = [], [], ()
        self._found.pop(chosen, None)
        passed = self._run(chosen)
        self._base, self._passed = chosen, passed
        found = passed[-1].found if passed else ()
        self._found[chosen] = found
        self._course = [_mean(found[:count]) for count in range(len(found) + 1)]

    def surprise(self, chosen: tuple[int, ...]) -> float:
        """Mean square of the differences; infinite for what is very wrong, and where the network does not run."""
        return _mean(self.whole(chosen))

    def whole(self, chosen: tuple[int, ...]) -> tuple[Tensor, ...]:
        """The differences of all norms; empty for what is very wrong."""
        if chosen not in self._found:
            passed = self._run(chosen)
            self._found[chosen] = passed[-1].found if passed else ()
        return self._found[chosen]

    def _run(self, chosen: tuple[int, ...]) -> list[Reached]:
        # A change of the best network adds a few.
        self._on_step(min(self._runs, self._total - 2), self._total)
        self._runs += 1
        shared = self._passed[: self._first_change(chosen)]
        try:
            return differences_by_part(self._build(chosen), self._images, shared, self._is_enough) or []
        except RuntimeError:
            # The shapes on shortcut and branch do not fit together: it is not this one.
            return []

    def _first_change(self, chosen: tuple[int, ...]) -> int:
        """The first part in which the network differs from the one whose pass is shared."""
        if not self._base:
            return 0
        pairs = zip(self._firsts, self._base, chosen, strict=True)
        # The usual answer changes nothing, so that the other one says where they part.
        parts = [answers[one or other] if not (one and other) else min(answers[one], answers[other])
                 for answers, one, other in pairs if one != other]  # fmt: skip
        return min(parts, default=0)

    def _is_enough(self, found: Sequence[Tensor]) -> bool:
        count = len(found)
        return ENOUGH_NORMS <= count < len(self._course) and _mean(found) > WRONG * self._course[count]

    def decision(self, chosen: tuple[int, ...]) -> Decision:
        """Compare the network with all neighbours that are not very wrong."""
        own, network = self.whole(chosen), self._build(chosen)
        if not own:
            return Decision(chosen, ())
        self._on_step(self._total - 1, self._total)
        directions = nuisances(network, self._images, own)
        left = without(directions, [-value for value in own])
        logits = network(self._images[:LOGITS_OF])
        neighbours: list[Neighbour] = []
        for question, answers in enumerate(self._firsts):
            for answer in range(len(answers)):
                other = _answered(chosen, question, answer)
                if other == chosen or self.surprise(other) > WRONG * self.surprise(chosen):
                    continue
                if question == self._hard:
                    likely = self.surprise(other) < HARD_ASKED * self.surprise(chosen)
                    t, error = float(likely), 0.0
                else:
                    ways = without(directions, [b - a for a, b in zip(own, self.whole(other), strict=True)])
                    t, error = _place(left, ways)
                change = 0.0
                if t >= CLEAR_PLACE or error >= CLEAR_ERROR:
                    change = _change(logits, self._build(other)(self._images[:LOGITS_OF]))
                neighbours.append(Neighbour(other, t, error, change, is_usual=answer == 0))
        return Decision(chosen, tuple(neighbours))


def _mean(differences_: Sequence[Tensor]) -> float:
    """Mean square over channels, then over norms; the first is left out, because it depends on the images only."""
    later = differences_[1:] or differences_
    return float(torch.stack([value.square().sum(0).mean() for value in later]).mean()) if later else float("inf")


def _place(left: Sequence[Tensor], ways: Sequence[Tensor]) -> tuple[float, float]:
    """Return where on the way to the neighbour what is remembered lies, and the standard error of that over the norms.

    A norm whose statistics fit well says more than one of a late layer, which saw few positions.
    """
    trust = torch.stack([1 / (rest.square().mean() + 1e-6) for rest in left])
    weights = trust * torch.stack([way.square().sum() for way in ways])
    places = trust * torch.stack([(rest * way).sum() for rest, way in zip(left, ways, strict=True)])
    total = weights.sum()
    if total < 1e-6:
        return 0.5, 1.0
    t = places.sum() / total
    error = (places - t * weights).square().sum().sqrt() / total
    return float(t), float(error)


def _change(logits: Tensor, others: Tensor) -> float:
    """How much the logits differ, relative to how much they differ between classes."""
    spread = (logits - logits.mean(1, keepdim=True)).norm()
    return float((others - logits).norm() / spread.clamp(min=1e-12))
