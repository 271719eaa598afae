"""Which of the networks that fit a checkpoint's tensors it is: what the batch norms remember decides, or a person does.

One usual network and its neighbours, each different in one answer, are compared. For a neighbour `t` says where the remembered
statistics lie on the way from the network's own, 0, to the neighbour's, 1, in the directions that other photos would not take
them. Below `NEAR` the network stands; above, and where the norms do not agree about it, nobody knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resnet_viz.nets.checkpoints.evidence import differences, nuisances, without

# Networks that were trained lie between -0.3 and 0.4 of the way to every neighbour, and their neighbours beyond the middle.
NEAR = 0.44
# Where the norms disagree more than this about the place, it says nothing.
ERROR = 0.4
# Relative to the spread of the logits: neighbours that differ by less are the same for whoever looks at images.
SAME = 0.05
# Neighbours that differ by less are asked about only if the norms say that they fit better, which is beyond FARTHER.
SMALL, FARTHER = 0.10, 0.56
# After so many norms, and for so few images, what is very wrong shows.
PREFIX, FEW, WRONG = 9, 12, 3.0
# How much smaller the surprise must be for an unusual answer to be looked into; smaller steps are left to `t`.
BETTER = 0.8
MOST_ROUNDS = 3


@dataclass(frozen=True)
class Doubt:
    """A neighbour that the norms do not rule out: its place, and how much of the spread of the logits it would change."""

    chosen: tuple[int, ...]
    t: float
    change: float


@dataclass(frozen=True)
class Decision:
    """The answers that fit best; the neighbours that fit as well, and those that would change too little to matter."""

    chosen: tuple[int, ...]
    doubts: tuple[Doubt, ...]
    slight: tuple[Doubt, ...]


Build = Callable[[Sequence[int]], nn.Module]


@torch.no_grad()
def decide(build: Build, sizes: Sequence[int], images: Tensor) -> Decision:
    """Find the answers to `sizes` many-choice questions whose network sees most nearly what its norms remember.

    `build` makes the network of some answers, with its weights. Each question is gone through with the others' best answers,
    until nothing changes.
    """
    search = _Search(build, images)
    chosen = [0] * len(sizes)
    for _ in range(MOST_ROUNDS):
        before = list(chosen)
        for question, size in enumerate(sizes):
            answers = [[*chosen[:question], answer, *chosen[question + 1 :]] for answer in range(size)]
            best = min(answers, key=search.surprise)
            if search.surprise(best) < BETTER * search.surprise(chosen):
                chosen = best
        if chosen == before:
            break
    return search.decision(chosen, sizes)


class _Search:
    """The differences of every network that was tried, each run once."""

    def __init__(self, build: Build, images: Tensor) -> None:
        self._build, self._images = build, images
        self._beginnings: dict[tuple[int, ...], float] = {}
        self._wholes: dict[tuple[int, ...], list[Tensor]] = {}
        self._best = float("inf")

    def surprise(self, chosen: Sequence[int]) -> float:
        """Mean square of the differences; infinite for what is very wrong already at the beginning."""
        key = tuple(chosen)
        if key not in self._beginnings:
            found = self._run(key, self._images[:FEW], PREFIX)
            self._beginnings[key] = _mean(found) if found else float("inf")
        if self._beginnings[key] > WRONG * self._best:
            return float("inf")
        surprise = _mean(self.whole(key))
        self._best = min(self._best, self._beginnings[key])
        return surprise

    def whole(self, key: tuple[int, ...]) -> list[Tensor]:
        """The differences of all norms; empty where the network does not run."""
        if key not in self._wholes:
            self._wholes[key] = self._run(key, self._images, None)
        return self._wholes[key]

    def _run(self, key: tuple[int, ...], images: Tensor, most: int | None) -> list[Tensor]:
        try:
            return differences(self._build(key), images, most)
        except RuntimeError:
            # The shapes on shortcut and branch do not fit together: it is not this one.
            return []

    def decision(self, chosen: Sequence[int], sizes: Sequence[int]) -> Decision:
        """Compare the network with all neighbours that are not very wrong."""
        key = tuple(chosen)
        own, network = self.whole(key), self._build(key)
        directions = nuisances(network, self._images, own)
        left = without(directions, [-value for value in own])
        logits = network(self._images)
        doubts: list[Doubt] = []
        slight: list[Doubt] = []
        for question, size in enumerate(sizes):
            for answer in range(size):
                other = (*key[:question], answer, *key[question + 1 :])
                if other == key or self.surprise(other) == float("inf"):
                    continue
                t, error = _place(left, without(directions, [b - a for a, b in zip(own, self.whole(other), strict=True)]))
                if t < NEAR and error < ERROR:
                    continue
                doubt = Doubt(other, t, _change(logits, self._build(other)(self._images)))
                likely = t > FARTHER and error < ERROR
                if doubt.change > 0:
                    (doubts if doubt.change > (SAME if likely else SMALL) else slight).append(doubt)
        return Decision(key, tuple(doubts), tuple(slight))


def _mean(differences_: Sequence[Tensor]) -> float:
    """Mean square over channels, then over norms; the first is left out, which tells of the images alone."""
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
