"""Which of a file's parts is used as the network, and what is said about the other parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from resnet_viz.nets.checkpoints.errors import CheckpointError, listed, shown
from resnet_viz.nets.checkpoints.known import KnownLayout
from resnet_viz.nets.checkpoints.parts import CheckpointPart, parts_of
from resnet_viz.nets.checkpoints.reading import CheckpointFile
from resnet_viz.nets.checkpoints.recognition import Recognised, recognise

WHOLE = "the whole file"


@dataclass(frozen=True, eq=False)
class Selected:
    """The part that was taken, recognised; the labels of other parts that fit; and sentences about what was done."""

    recognised: Recognised
    others: tuple[str, ...]
    notes: tuple[str, ...]


def select(file: CheckpointFile, part: str | None = None) -> Selected:
    """Return the file's network: the part that fits a supported one, or the one that `part` names.

    Of a network and its moving average the network itself is taken, and that is said. CheckpointError where none fits, or with
    `candidates` where several do.
    """
    parts = parts_of(file)
    asked = parts if part is None else _named(parts, part)
    fitting, errors = _recognised(asked)
    if not fitting:
        raise _with_stated(errors[0], file.facts.architecture)
    plain = [found for found in fitting if not found.part.averaged] or fitting
    if len(plain) > 1:
        names = [_label(found.part) for found in plain]
        raise CheckpointError(
            f"The checkpoint holds {len(plain)} networks ({listed(names)}): choose one with"
            f" part={shown(plain[0].part.label)!r} or another of these names.",
            [found.part.label for found in plain],
        )
    chosen = plain[0]
    others = [found.part for found in fitting if found is not chosen] if part is None else []
    return Selected(chosen, tuple(other.label for other in others), tuple(_notes(chosen, others)))


def _recognised(parts: Sequence[CheckpointPart]) -> tuple[list[Recognised], list[CheckpointError]]:
    fitting, errors = [], []
    for part in parts:
        try:
            fitting.append(recognise(part))
        except CheckpointError as error:
            errors.append(error)
    return fitting, errors


def _with_stated(error: CheckpointError, architecture: str | None) -> CheckpointError:
    """Add the architecture that the file states: it says what to open instead."""
    if not architecture:
        return error
    return CheckpointError(f"{error} The file states that it is {shown(architecture)}.", error.candidates)


def _named(parts: Sequence[CheckpointPart], name: str) -> list[CheckpointPart]:
    found = [part for part in parts if part.label == name] or [part for part in parts if part.label.startswith(f"{name}.")]
    if found:
        return found
    labels = [part.label for part in parts]
    raise CheckpointError(
        f"The checkpoint has no part {shown(name)!r} with the tensors of a network: it has {listed(map(_label, parts))}.",
        labels,
    )


def _label(part: CheckpointPart) -> str:
    return shown(part.label) or WHOLE


def _notes(chosen: Recognised, others: Sequence[CheckpointPart]) -> list[str]:
    notes = []
    if others:
        notes.append(
            f"The network was read from {_label(chosen.part)}. The file also holds {listed(map(_label, others))}; choose it"
            f" with part={shown(others[0].label)!r}."
        )
    if chosen.by_order:
        notes.append("The names of its tensors are unknown, so its layers were matched by their order and shapes.")
    if chosen.ignored:
        notes.append(f"Not part of the network and left out: {listed(chosen.ignored)}.")
    if chosen.biases:
        notes.append(
            "The biases of its convolutions were folded into the batch norms that follow them, which changes no output."
        )
    if any(tensor.mask is not None for tensor in chosen.tensors.values()):
        notes.append("Pruned weights were multiplied by their masks.")
    notes += _notes_on_head(chosen)
    return notes


def _notes_on_head(chosen: Recognised) -> list[str]:
    if isinstance(chosen.layout, KnownLayout):
        return []
    plan = chosen.layout.plan
    if plan.headless:
        note = (
            "It has no classification layer: the averaged channels of its last stage are used in place of logits. Its blocks"
            " can be inspected, but class names and probabilities mean nothing."
        )
        return [note]
    if "fc.weight" not in plan.shapes:
        note = "Its head has several layers. Nothing in the file tells the activations between them, so a ReLU is assumed."
        return [note]
    return [] if "fc.bias" in chosen.tensors else ["Its classification layer has no bias, so zeros are used."]
