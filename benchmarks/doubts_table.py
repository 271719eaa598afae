"""The outcomes of `doubts`, which limits would be best, and the part of RESULTS.md.

A checkpoint is read as one of these: "right"; "equal", another network whose logits differ by less than 5 % of their spread
over the classes; "asked", with the truth among the candidates; "asked without it", where all candidates are
wrong; or "wrong", another network without a question.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from resnet_viz.nets.checkpoints.deciding import LIMITS, DoubtLimits, Neighbour

OUTCOMES = ("right", "equal", "asked", "asked without it", "wrong")
# Logits that differ by less, relative to their spread over the classes, count as equal.
EQUAL = 0.05
# The limits were chosen with as many rows in view.
CHOSEN_ON = 774
INTRODUCTION = """\
`python benchmarks/doubts.py table` writes this part. Every network is read without a word about its preprocessing, as an
uploaded file is. "right": opened as the network that it is. "equal": opened as another one whose logits differ by less than
5 % of their spread over the classes. "asked": not opened, and the true network is among the candidates. "asked without it":
not opened, and it is not among them. "wrong": opened as a network whose logits differ by more.

The networks are the shipped ones and small ones that were trained for a few minutes with other forward passes. Each is read
on five scales of the input. Each is also turned into every other network that fits its tensors: it keeps its weights, and its
norms estimate their statistics again from training images in that forward pass."""
LIMITATIONS = """\
What cannot be separated, and what is done about it:

- Epsilon 1e-3 in place of 1e-5, and on small networks LeakyReLU with slope 0.01 in place of ReLU, change what the norms see
  too little. They also change the logits by less than 5 % of their spread here ("equal"), and the page names them. Where they
  change more, as with `plain20-cifar10`, the page asks.
- On scales on which zero is black, a border says as much about the scale in training as about the padding of the stem. Padding
  1 more than usual is told clearly; padding 0 is asked about, and so are some small networks that were folded onto one.
- In a bottleneck network with both another stride and another padding of the stem, the search ends at a network that is
  neither, and asks without the true one among the candidates: `architecture=` takes any combination by name.
- Small networks trained for minutes, and photo networks trained with strong augmentation, sometimes fit best a network with
  several unusual answers that is not the true one (11 of the first 420 reads were opened so before). So a network that departs
  from the usual one in more than one answer is always asked about, and the candidates hold it with any of its unusual answers
  made usual. Reads 421 to 774 came after that rule: one was wrong, and the agreement of the norms was added for it, with all of
  these reads in view, those of networks held out too. All later reads came after that, and changed nothing. Most of what is
  asked about here is of this kind: a network with one unusual answer was turned into one with two.
- Everything behind the last norm: how the last stage is pooled, and activations in a head of several layers."""


@dataclass(frozen=True)
class Measured:
    """A checkpoint that was read: its truth, the usual network, the best one, and neighbours with place, error and change.

    `simpler` are the networks with only some of the unusual answers of the best one, at most 15.
    """

    network: str
    truth: str
    scale: str
    trained: bool
    held_out: bool
    usual: str
    chosen: str
    distance: float
    neighbours: tuple[tuple[str, float, float, float], ...]
    simpler: tuple[str, ...]
    is_combined: bool
    seconds: float

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Measured":
        """Restore one from JSON."""
        return cls(**row | {"neighbours": tuple(map(tuple, row["neighbours"])), "simpler": tuple(row["simpler"])})

    def outcome(self, limits: DoubtLimits = LIMITS) -> str:
        """Say what a person would get with these limits."""
        # Usual answers have no name, or a shorter one.
        words = len(self.chosen.split(", "))
        doubts = [
            name
            for name, t, error, change in self.neighbours
            if Neighbour((), t, error, change, is_usual=len(name.split(", ")) < words).is_doubt(limits)
        ]
        if doubts or self.is_combined:
            return "asked" if self.truth in (self.chosen, *doubts, *self.simpler, self.usual) else "asked without it"
        if self.chosen == self.truth:
            return "right"
        return "equal" if self.distance < EQUAL else "wrong"


def best_limits(rows: Sequence[Measured], most: int = 5) -> Iterator[tuple[DoubtLimits, int, int]]:
    """Yield the limits with the fewest wrong, then the fewest asked, on the networks that are not held out."""
    fitted = [row for row in rows if not row.held_out]
    found = []
    places, errors = (0.25, 0.3, 0.35, 0.4, 0.44, 0.5, 0.55, 0.6), (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
    for near, error in product(places, errors):
        limits = DoubtLimits(near, error, EQUAL)
        outcomes = Counter(row.outcome(limits) for row in fitted)
        found.append((limits, outcomes["wrong"], outcomes["asked"] + outcomes["asked without it"]))
    yield from sorted(found, key=lambda each: (each[1], each[2]))[:most]


def as_markdown(rows: Sequence[Measured]) -> str:
    """Write the part of RESULTS.md."""
    fitted, held = ([row for row in rows if row.held_out is kept] for kept in (False, True))
    trained = [row for row in rows if row.trained]
    groups: dict[str, Sequence[Measured]] = {
        "all": rows,
        "trained with that forward pass": trained,
        "statistics estimated anew": [row for row in rows if not row.trained],
        "networks that the limits were chosen on": fitted,
        "networks held out": held,
        "read after the limits were chosen": rows[CHOSEN_ON:],
    }
    groups |= {f"input scale: {scale}": [r for r in rows if r.scale == scale] for scale in dict.fromkeys(r.scale for r in rows)}
    names = dict.fromkeys(row.network for row in rows)
    return "\n".join(
        [
            "# Is a checkpoint ever opened as another network?",
            "",
            INTRODUCTION,
            "",
            (
                f"{len(rows):,} checkpoints of {len(names)} networks were read. Limits: place {LIMITS.near}, or"
                f" {LIMITS.near_usual} for a usual answer in place of an unusual one and where the norms agree about the place"
                f" to within 1/{LIMITS.agreed:g} of it; error {LIMITS.error}; change of the logits {LIMITS.same:.0%}; at most"
                " one unusual answer."
            ),
            "",
            *_table("checkpoints", groups),
            "",
            *_table("network", {name: [row for row in rows if row.network == name] for name in names}),
            "",
            *_table("what it is", _by_answer(rows)),
            "",
            LIMITATIONS,
        ]
    )


def _by_answer(rows: Sequence[Measured]) -> dict[str, list[Measured]]:
    """Group what was estimated anew by the answer in which the truth differs from that of the training."""
    own = {row.network: set(row.truth.split(", ")) for row in rows if row.trained}
    found: dict[str, list[Measured]] = {}
    for row in rows:
        if not row.trained:
            parts = [part for part in row.truth.split(", ")[1:] if part not in own.get(row.network, set())]
            found.setdefault(", ".join(parts) or "as usual", []).append(row)
    return dict(sorted(found.items()))


def _table(title: str, groups: Mapping[str, Sequence[Measured]]) -> list[str]:
    lines = [f"| {title} | number | {' | '.join(OUTCOMES)} |", f"|---|---|{'---|' * len(OUTCOMES)}"]
    for name, rows in groups.items():
        if rows:
            counts = Counter(row.outcome() for row in rows)
            shares = " | ".join(f"{counts[each]} ({counts[each] / len(rows):.0%})" for each in OUTCOMES)
            lines.append(f"| {name} | {len(rows)} | {shares} |")
    return lines
