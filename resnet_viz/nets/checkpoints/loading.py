"""A user's own checkpoint: which network its tensors belong to, and that network, ready to be inspected."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from resnet_viz.counting import counted
from resnet_viz.nets.checkpoints.assembly import CheckpointResNet
from resnet_viz.nets.checkpoints.errors import FROM_CODE, CheckpointError, shown
from resnet_viz.nets.checkpoints.facts import Facts
from resnet_viz.nets.checkpoints.known import KnownLayout
from resnet_viz.nets.checkpoints.known_files import KnownFile, find_file
from resnet_viz.nets.checkpoints.layouts import Layout, find_layout
from resnet_viz.nets.checkpoints.reading import CheckpointFile, file_bytes, read_file
from resnet_viz.nets.checkpoints.recognition import COUNTER, Recognised
from resnet_viz.nets.checkpoints.selection import select
from resnet_viz.nets.checkpoints.verdicts import Verdict, judge, judge_file, judge_known
from resnet_viz.nets.families.signatures import Signed
from resnet_viz.nets.labels import checked_labels, repeated
from resnet_viz.nets.net import Net, WeightsOrigin, pick_device
from resnet_viz.nets.preprocessing import Preprocessing, check_preprocessing
from resnet_viz.nets.residual_graph import find_blocks
from resnet_viz.progress import OnProgress, ignore_progress

# Pixels of the image that shows whether a network computes numbers at all: five stages halve it once each.
PROBE_SIZE = 64


@dataclass(frozen=True, eq=False)
class Extract:
    """What was taken out of a file: float32 tensors by torchvision's names, what the file says, and what was done.

    `facts`, `notes` and `part` are those of `Checkpoint`. `known` names the networks of torchvision or timm with these tensors,
    and their last layer, if the network is not a ResNet.
    """

    tensors: Mapping[str, Tensor]
    facts: Facts
    notes: tuple[str, ...]
    part: str
    known: Signed | None = None


Extractor = Callable[[bytes, str | None], Extract]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint that was read and fits: float32 tensors by torchvision's names, and the network that they belong to.

    `facts` are what the file says about itself, which nobody has checked. `notes` are sentences about what was chosen, left out
    or changed. `part` names what was taken of the file; "" where there was nothing to choose.
    """

    sha256: str
    tensors: Mapping[str, Tensor]
    layout: Layout | KnownLayout
    facts: Facts
    notes: tuple[str, ...] = ()
    part: str = ""
    _verdicts: dict[Preprocessing | None, Verdict] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What tells it from others: the same bytes have the same name."""
        return f"checkpoint-{self.sha256[:12]}"

    @property
    def nbytes(self) -> int:
        """Memory of all tensors in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @cached_property
    def file(self) -> KnownFile | None:
        """The published file that this one is, if it is one."""
        known = find_file(self.sha256)
        return known if known is not None and len(known.labels) == self.layout.classes else None

    def decide(self, preprocessing: Preprocessing | None = None, on_step: OnProgress = ignore_progress) -> Verdict:
        """Say which of the networks that fit these tensors its norms remember, and which of them they cannot tell apart.

        Sample photos are prepared as `preprocessing` says, or on the usual scale that the first norm fits best. It takes
        seconds the first time: `on_step` gets how many networks were run, of how many.
        """
        if preprocessing not in self._verdicts:
            if isinstance(self.layout, KnownLayout):
                self._verdicts[preprocessing] = judge_known(self.layout, preprocessing)
            elif self.file is not None:
                self._verdicts[preprocessing] = judge_file(self.layout, self.file, preprocessing)
            else:
                build = partial(resnet_of, self.layout, self.tensors)
                self._verdicts[preprocessing] = judge(self.layout, build, preprocessing, on_step)
        return self._verdicts[preprocessing]

    def net(
        self,
        labels: Sequence[str] | None = None,
        *,
        preprocessing: Preprocessing | None = None,
        architecture: str | None = None,
        device: str | torch.device = "auto",
    ) -> Net:
        """Build the network, sharing the tensors.

        Without `labels` the classes are called by their numbers, or as is known of a published file. Without `preprocessing` it
        is that of the published file, or else the usual one that the first norm fits. `architecture` names one of the networks
        that fit the tensors; without it, the file's hash or the batch norms decide.
        CheckpointError, with `candidates`, where they cannot, and for the wrong number of labels; ValueError for an unknown
        device.
        """
        layout = self.layout
        if labels is not None and len(labels) != layout.classes:
            raise CheckpointError(
                f"{counted(len(labels), 'label does', 'labels do')} not fit the checkpoint, which has"
                f" {counted(layout.classes, 'class', 'classes')}: give one label for each class."
            )
        note = [f"a checkpoint, SHA-256 {self.sha256[:12]}…, its accuracy not measured here"]
        used = preprocessing
        if architecture is None:
            verdict = self.decide(preprocessing)
            if verdict.candidates:
                raise CheckpointError(verdict.sentence, verdict.candidates)
            chosen, used = verdict.chosen, verdict.preprocessing
            note.append(verdict.sentence)
        else:
            chosen = layout.answers(architecture)
            note.append(f"read as {layout.name(chosen)}, which was chosen by hand")
        if self.part:
            note.append(f"taken from {self.part}")
        used = used or layout.preprocessing
        module = self.module(chosen, used.crop).to(pick_device(device))
        kind = "channel" if layout.headless else "class"
        numbered = (f"{kind} {index}" for index in range(layout.classes))
        names = tuple(labels or (self.file.labels if self.file else numbered))
        origin = WeightsOrigin("checkpoint", "; ".join(note))
        shared = repeated(names)
        return Net(self.name, layout.title, module, names, used, origin, notes=(*self.notes, shared) if shared else self.notes)

    def module(self, chosen: Sequence[int], side: int) -> nn.Module:
        """Return the network of some answers for images of `side` pixels, with named places in its blocks.

        It shares the tensors and is in evaluation mode.
        """
        layout = self.layout
        if isinstance(layout, KnownLayout):
            return layout.traced(chosen, self.tensors)
        try:
            # On the meta device, finding blocks computes nothing.
            network = find_blocks(layout.module(chosen), (3, side, side))
        except ValueError as error:
            raise CheckpointError(f"{layout.name(chosen)} cannot be opened: {error}") from error
        network.load_state_dict(dict(self.tensors), assign=True)
        return network.requires_grad_(requires_grad=False)

    def check_outputs(self) -> None:
        """CheckpointError where the network gives NaN or infinity for a grey ramp, as weights that overflow do."""
        layout = self.layout
        if isinstance(layout, KnownLayout):
            side, module = layout.preprocessing.crop, layout.filled(layout.usual, self.tensors)
        else:
            side, module = PROBE_SIZE, resnet_of(layout, self.tensors, layout.usual)
        ramp = torch.linspace(-2, 2, side).expand(1, 3, side, side)
        with torch.no_grad():
            logits = module(ramp)
        if not torch.isfinite(logits).all():
            largest = max(tensor.abs().max().item() for tensor in self.tensors.values())
            raise CheckpointError(
                "The network of this checkpoint gives NaN or infinity for a plain image (its largest weight is"
                f" {largest:.1e}): the training diverged, or the file is damaged. Use an earlier checkpoint."
            )


def load_checkpoint(
    source: str | os.PathLike[str] | bytes,
    labels: Sequence[str] | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    part: str | None = None,
    architecture: str | None = None,
    device: str | torch.device = "auto",
) -> Net:
    """Load your own checkpoint, a file of at most 1 GiB or its bytes: safetensors, or what `torch.save` wrote.

    The network, which takes images (N, 3, H, W) and returns logits (N, classes), is found from the names and shapes of the
    tensors: ResNets of any names, and the other residual networks of torchvision and timm. Nothing in the file is imported or
    run. `part` selects one network of a file that holds several, for example "model_ema".

    Without `labels`, which are in the order of the logits, the classes are numbered, or named as those of a published file.
    Without `preprocessing` it is that of the published file, or else the usual one that the first normalisation layer fits.

    Several networks may fit the same tensors: with another stride, pool or activation. What the batch norms remember of
    training decides between them. Where it does not, CheckpointError lists them in `candidates`, and `architecture` chooses
    one.

    Raises:
        CheckpointError: there is no such file, or it is no checkpoint, is damaged or fits no supported network; several of its
            networks fit (`candidates` lists them); the number of labels is not the number of classes.
        TypeError: `labels` are not texts, `preprocessing` is no `rv.Preprocessing`, `part` or `architecture` is no text.
        ValueError: a label is empty, or there is no such device.
    """
    names = None if labels is None else checked_labels(labels)
    check_preprocessing(preprocessing)
    for name, value in (("part", part), ("architecture", architecture)):
        if not isinstance(value, str | None):
            raise TypeError(f"{name} is a text that an error's candidates list, and not a {type(value).__name__}")
    return read_checkpoint(source, part).net(names, preprocessing=preprocessing, architecture=architecture, device=device)


def extract(data: bytes, part: str | None = None) -> Extract:
    """Take a network's tensors out of a file's bytes; see `read_checkpoint`, which makes a network of them."""
    file = read_file(data)
    selected = select(file, part)
    found = selected.recognised
    _check_size(found, file)
    label = found.part.label if selected.others or part is not None else ""
    if isinstance(found.layout, KnownLayout):
        return Extract(_own_tensors(found), file.facts, selected.notes, label, found.layout.signed)
    return Extract(_tensors(found, found.layout), file.facts, selected.notes, label)


def read_checkpoint(
    source: str | os.PathLike[str] | bytes, part: str | None = None, extractor: Extractor = extract
) -> Checkpoint:
    """Read a file or its bytes, at most 1 GiB, and find the network from its tensors' names and shapes.

    Supported are torchvision's ResNets, ResNeXts and Wide ResNets with their own stem or the 3x3 stem of small images, the
    CIFAR networks of He et al. 2015 of any depth 6n + 2, and the other residual networks of torchvision and timm under their
    own names, anywhere in the file. `part` selects one if a file holds several, for example "model_ema". Nothing in the file is
    imported or run. CheckpointError with a sentence that names the first tensor that is missing, unexpected or of the wrong
    shape, or says what else is wrong, also that there is no file.
    A server hands over an `extractor` that works in another process.
    """
    data = file_bytes(source)
    taken = extractor(data, part)
    shapes = {name: tuple(tensor.shape) for name, tensor in taken.tensors.items()}
    layout = find_layout(shapes) if taken.known is None else KnownLayout(taken.known, shapes)
    sha256 = hashlib.sha256(data).hexdigest()
    checkpoint = Checkpoint(sha256, taken.tensors, layout, taken.facts, taken.notes, taken.part)
    checkpoint.check_outputs()
    return checkpoint


def _check_size(found: Recognised, file: CheckpointFile) -> None:
    """Many tensors may be views of the same numbers: then a small file claims a large network."""
    claimed = sum(tensor.size for tensor in (*found.tensors.values(), *found.biases.values()))
    if claimed > file.capacity:
        raise CheckpointError(
            f"The checkpoint claims a network of {claimed / 2**20:,.1f} MB and holds {file.capacity / 2**20:,.1f} MB: its"
            " tensors share their numbers, or it was cut off. Save it again."
        )


def resnet_of(layout: Layout, tensors: Mapping[str, Tensor], chosen: Sequence[int]) -> CheckpointResNet:
    """Return the network of some answers, which shares the tensors, in evaluation mode."""
    module = layout.module(chosen)
    module.load_state_dict(dict(tensors), assign=True)
    module.eval().requires_grad_(requires_grad=False)
    return module


def _own_tensors(found: Recognised) -> dict[str, Tensor]:
    """Return the tensors by the names of their library, as float32."""
    return {name: tensor.values() for name, tensor in found.tensors.items()}


def _tensors(found: Recognised, layout: Layout) -> dict[str, Tensor]:
    """Return float32 tensors for every name of the network, with the biases of convolutions folded into batch norms."""
    expected = layout.module().state_dict()
    tensors = {}
    for key in expected:
        if key.endswith(COUNTER):
            # The number of batches matters only to further training.
            tensors[key] = torch.zeros((), dtype=torch.long)
        elif key in found.tensors:
            tensors[key] = found.tensors[key].values()
        else:
            # Only a bias of the head may be missing.
            tensors[key] = torch.zeros(layout.classes)
    for layer, bias in found.biases.items():
        if layout.plan.preactivation or not layout.plan.statistics:
            raise CheckpointError(
                f"The convolution {shown(bias.name.removesuffix('.bias'))} has a bias that no batch norm follows, and"
                f" {layout.title}, the nearest supported network, has none. {FROM_CODE}"
            )
        tensors[f"{_norm_after(layer, layout.plan.stem)}.running_mean"] -= bias.values()
    return tensors


def _norm_after(layer: str, stem: Sequence[str]) -> str:
    """Return the batch norm after a convolution, which subtracts a mean: so a bias before it can be subtracted from that."""
    if layer.endswith("downsample.0"):
        return layer.removesuffix("0") + "1"
    if layer.startswith("conv1."):
        return "bn1" if layer == stem[-1] else f"conv1.{int(layer.rpartition('.')[2]) + 1}"
    head, _, number = layer.rpartition("conv")
    return f"{head}bn{number}"
