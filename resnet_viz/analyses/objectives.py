"""Objectives: the number that a gradient is taken of, which measures how strongly the network supports a class."""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional as F

from resnet_viz.nets.net import Head

ObjectiveKind = Literal["logit", "log-probability", "cross-entropy", "logit difference"]
OBJECTIVES: tuple[ObjectiveKind, ...] = get_args(ObjectiveKind)


@dataclass(frozen=True)
class Objective:
    """A number computed from the logits for the class `target`; `versus` is the other class of a difference.

    "logit" is z_t, "log-probability" log softmax(z)_t, or log sigmoid(z_t) if `head` is a sigmoid, "cross-entropy" its
    negative, and "logit difference" z_t - z_v. ValueError for an unknown kind, or a difference without another class.
    """

    kind: ObjectiveKind
    target: int
    versus: int | None = None
    head: Head = "softmax"

    def __post_init__(self) -> None:
        """Refuse an invalid combination."""
        if self.kind not in OBJECTIVES:
            raise ValueError(f"objective {self.kind!r} is unknown: choose one of {', '.join(map(repr, OBJECTIVES))}")
        if self.kind == "logit difference" and self.versus in (None, self.target):
            raise ValueError("a logit difference needs two classes. Pass another one as `versus`")

    def __call__(self, logits: Tensor) -> Tensor:
        """(N, classes) -> (N,)."""
        if self.kind == "logit difference" and self.versus is not None:
            return logits[:, self.target] - logits[:, self.versus]
        if self.kind == "logit":
            return logits[:, self.target]
        if self.head == "sigmoid":
            log_probability = F.logsigmoid(logits[:, self.target])
        else:
            log_probability = F.log_softmax(logits, 1)[:, self.target]
        return -log_probability if self.kind == "cross-entropy" else log_probability
