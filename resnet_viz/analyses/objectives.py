"""What a gradient is taken of: a number that says how much the network is for a class."""

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

    "logit" is z_t, "log-probability" log softmax(z)_t, or log sigmoid(z_t) where `head` is a sigmoid, "cross-entropy" its
    negative, "logit difference" z_t - z_v.
    ValueError for an unknown kind, or a difference without another class.
    """

    kind: ObjectiveKind
    target: int
    versus: int | None = None
    head: Head = "softmax"

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if self.kind not in OBJECTIVES:
            raise ValueError(f"objective {self.kind!r} is unknown: take one of {', '.join(map(repr, OBJECTIVES))}")
        if self.kind == "logit difference" and self.versus in (None, self.target):
            raise ValueError("a logit difference needs two classes: give another one as `versus`")

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
