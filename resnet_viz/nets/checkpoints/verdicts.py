"""What is said about the networks that fit a checkpoint: which it is and how clearly, or that a person has to choose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from resnet_viz.nets.checkpoints.deciding import Build, Decision, Neighbour, decide
from resnet_viz.nets.checkpoints.evidence import differences, remembers
from resnet_viz.nets.checkpoints.known import KnownLayout
from resnet_viz.nets.checkpoints.known_files import KnownFile
from resnet_viz.nets.checkpoints.layouts import Layout
from resnet_viz.nets.checkpoints.options import NO_SHORTCUT, PADDING
from resnet_viz.nets.checkpoints.sample_photos import sample_images
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.progress import OnProgress, ignore_progress

# Mean and deviation of the input, by what people call them: the usual one of the family comes first.
SCALES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "the scale 0 to 1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "the scale 0 to 255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    "the scale -1 to 1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "ImageNet's mean on the scale 0 to 255": ((0.485, 0.456, 0.406), (1 / 255, 1 / 255, 1 / 255)),
}
# A scale other than the family's usual one must reduce the first norm's surprise to less than this share.
CLEARLY = 0.5
MOST_NAMED = 3


@dataclass(frozen=True)
class Verdict:
    """The answers that were decided on, with the preprocessing that fits; or `candidates` by name, the likeliest first.

    `sentence` says which, and how clearly; it stands beside the network wherever that is shown.
    """

    chosen: tuple[int, ...]
    preprocessing: Preprocessing
    sentence: str
    candidates: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return 1000 + len(self.sentence) + sum(map(len, self.candidates))


@dataclass(frozen=True)
class Weighing:
    """What the norms of a checkpoint say: the decision, and the preprocessing of the sample photos that it was made with.

    `scale` says which scale of the input fits, where that is not the usual one; `assumed` names a question that images on this
    scale hardly answer, if its usual answer was kept.
    """

    decision: Decision
    preprocessing: Preprocessing
    scale: str
    assumed: str


def judge(
    layout: Layout, build: Build, preprocessing: Preprocessing | None = None, on_step: OnProgress = ignore_progress
) -> Verdict:
    """Decide between the networks of a layout by what the norms remember; `build` makes one of them with its weights."""
    if len(layout.neighbours()) == 1:
        sentence = f"read as {layout.name(layout.usual)}, the only network that fits these tensors"
        return Verdict(layout.usual, preprocessing or layout.preprocessing, sentence)
    if not remembers(build(layout.usual)):
        return _nothing_remembered(layout, preprocessing or layout.preprocessing)
    return _verdict(layout, weigh(layout, build, preprocessing, on_step))


def judge_file(layout: Layout, file: KnownFile, preprocessing: Preprocessing | None = None) -> Verdict:
    """Say which network a published file holds."""
    chosen = layout.answers(f"{layout.title}, {NO_SHORTCUT}") if file.is_plain else layout.usual
    return Verdict(
        chosen, preprocessing or file.preprocessing, f"read as {layout.name(chosen)}: the file is that of {file.origin}"
    )


def judge_known(layout: KnownLayout, preprocessing: Preprocessing | None = None) -> Verdict:
    """Decide between networks of torchvision and timm with the same tensors: where there are several, nothing tells which."""
    used = preprocessing or layout.preprocessing
    candidates = tuple(layout.name(chosen) for chosen in layout.neighbours())
    if len(candidates) == 1:
        sentence = f"read as {candidates[0]}, which has the same names and shapes of all tensors but the classification layer"
        return Verdict(layout.usual, used, sentence)
    sentence = (
        f"The tensors have the names and shapes of {len(candidates)} networks whose forward passes differ:"
        f" {_listed(candidates)}. Choose one with architecture={candidates[0]!r} or another of the error's candidates."
    )
    return Verdict(layout.usual, used, sentence, candidates)


def weigh(
    layout: Layout, build: Build, preprocessing: Preprocessing | None = None, on_step: OnProgress = ignore_progress
) -> Weighing:
    """Compare the networks of a layout whose norms remember something."""
    if preprocessing is None:
        used, scale = _likely_scale(build(layout.usual), layout.preprocessing)
    else:
        used, scale = preprocessing, ""
    # Where zero is black and not the mean colour, a border says as much about the scale in training as about the padding.
    hard = next((index for index, axis in enumerate(layout.questions) if axis.question == PADDING and not any(used.mean)), None)
    firsts = [[option.first for option in axis.options] for axis in layout.questions]
    decision = decide(build, firsts, sample_images(used), on_step, hard)
    assumed = PADDING if hard is not None and not decision.chosen[hard] else ""
    return Weighing(decision, used, scale, assumed)


def _verdict(layout: Layout, weighing: Weighing) -> Verdict:
    decision, used = weighing.decision, weighing.preprocessing
    if decision.doubts or decision.is_combined:
        return _doubtful(layout, used, decision)
    unjudged = f"; {weighing.assumed} is assumed, because images on this scale hardly show it" if weighing.assumed else ""
    sentence = f"read as {layout.name(decision.chosen)}, {_how_clearly(layout, decision)}{weighing.scale}{unjudged}"
    return Verdict(decision.chosen, used, sentence)


def _likely_scale(network: nn.Module, usual: Preprocessing) -> tuple[Preprocessing, str]:
    """Return the preprocessing whose images the first norm knows best, and what is said of it if it is not the usual one."""
    choices = {"": usual} | {name: replace(usual, mean=mean, std=std) for name, (mean, std) in SCALES.items()}
    surprises = {name: _first_surprise(network, choice) for name, choice in choices.items()}
    best = min(surprises, key=surprises.__getitem__)
    if surprises[best] > CLEARLY * surprises[""]:
        best = ""
    return choices[best], f"; its first norm fits images on {best}" if best else ""


def _first_surprise(network: nn.Module, preprocessing: Preprocessing) -> float:
    first = differences(network, sample_images(preprocessing)[:16], 1)[0]
    return float(first.square().sum(0).mean())


def _nothing_remembered(layout: Layout, preprocessing: Preprocessing) -> Verdict:
    candidates = tuple(layout.name(chosen) for chosen in layout.neighbours())
    if layout.plan.statistics:
        # A network that never saw an image in training mode is untrained: nothing that it shows was learned.
        sentence = (
            f"read as {candidates[0]}, the usual network with these tensors: its batch norms saw no image in training, so"
            f" nothing can distinguish it from {len(candidates) - 1} variants of it"
        )
        return Verdict(layout.usual, preprocessing, sentence)
    sentence = (
        f"The tensors fit {candidates[0]} and {len(candidates) - 1} variants of it. Its norms hold no statistics of training"
        f" images that would tell them apart: choose one with architecture={candidates[0]!r} or another of the error's"
        " candidates."
    )
    return Verdict(layout.usual, preprocessing, sentence, candidates)


def _doubtful(layout: Layout, preprocessing: Preprocessing, decision: Decision) -> Verdict:
    # The usual network is always among them: what a file remembers may be none of the networks that are known here.
    chosen = dict.fromkeys((decision.chosen, *(doubt.chosen for doubt in decision.doubts), *decision.simpler, layout.usual))
    candidates = tuple(map(layout.name, chosen))
    if decision.doubts:
        largest = max(doubt.change for doubt in decision.doubts)
        reason = (
            "Several networks fit this checkpoint, and what its batch norms remember does not tell them apart:"
            f" {candidates[0]}, or with {_listed(_differences(layout, decision, decision.doubts))} (logits change by up to"
            f" {largest:.0%})."
        )
    else:
        reason = (
            f"What the batch norms of this checkpoint remember fits {candidates[0]} best, which departs from the usual network"
            f" in {decision.unusual} ways at once. So many combinations are possible that one of them can fit by"
            " accident."
        )
    sentence = f"{reason} Choose one with architecture={candidates[0]!r} or another of the error's candidates."
    return Verdict(decision.chosen, preprocessing, sentence, candidates)


def _how_clearly(layout: Layout, decision: Decision) -> str:
    text = "which its batch norms tell from every other network that fits the tensors"
    if decision.slight:
        names = _listed(_differences(layout, decision, decision.slight))
        largest = max(doubt.change for doubt in decision.slight)
        text += f" except for {names}, which would change the logits by at most {largest:.1%}"
    return text


def _differences(layout: Layout, decision: Decision, doubts: Sequence[Neighbour]) -> list[str]:
    """Name only what is different in each doubt."""
    found = []
    for doubt in doubts:
        for axis, own, other in zip(layout.questions, decision.chosen, doubt.chosen, strict=True):
            if own != other:
                found.append(axis.options[other].name or f"{axis.question} as usual")
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
