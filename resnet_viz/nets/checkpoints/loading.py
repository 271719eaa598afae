"""Everybody's own checkpoint: which network its tensors are of, and that network, ready to be looked into."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from resnet_viz.nets.checkpoints.errors import CheckpointError, shown
from resnet_viz.nets.checkpoints.facts import Facts
from resnet_viz.nets.checkpoints.layouts import Layout, find_layout
from resnet_viz.nets.checkpoints.reading import LIMIT, CheckpointFile, read_file
from resnet_viz.nets.checkpoints.recognition import COUNTER, Recognised
from resnet_viz.nets.checkpoints.selection import select
from resnet_viz.nets.checkpoints.verdicts import Verdict, judge
from resnet_viz.nets.net import Net, WeightsOrigin, pick_device
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.residual_graph import find_blocks

# Pixels of the image that shows whether a network computes numbers at all: five stages halve it once each.
PROBE_SIZE = 64


@dataclass(frozen=True, eq=False)
class Extract:
    """What was taken out of a file: float32 tensors by torchvision's names, what the file says, and what was done.

    `facts`, `notes` and `part` are those of `Checkpoint`.
    """

    tensors: Mapping[str, Tensor]
    facts: Facts
    notes: tuple[str, ...]
    part: str


Extractor = Callable[[bytes, str | None], Extract]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint that was read and fits: float32 tensors by torchvision's names, and what network they are of.

    `facts` are what the file says about itself, which nobody has checked. `notes` are sentences about what was chosen, left out
    or changed. `part` names what was taken of the file; "" where there was nothing to choose.
    """

    sha256: str
    tensors: Mapping[str, Tensor]
    layout: Layout
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

    def decide(self, preprocessing: Preprocessing | None = None) -> Verdict:
        """Say which of the networks that fit these tensors its norms remember, and which of them they cannot tell apart.

        Sample photos are prepared as `preprocessing` says, or on the usual scale that the first norm fits best.
        """
        if preprocessing not in self._verdicts:
            self._verdicts[preprocessing] = judge(self.layout, self._module, preprocessing)
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

        Without `labels` the classes are called by their numbers, without `preprocessing` it is the usual one that the first
        norm fits. `architecture` names one of the networks that fit the tensors; without it, the batch norms decide.
        CheckpointError, with `candidates`, where they cannot, and for the wrong number of labels; ValueError for an unknown
        device.
        """
        layout = self.layout
        if labels is not None and len(labels) != layout.classes:
            raise CheckpointError(
                f"{len(labels)} labels were given and the checkpoint has {layout.classes} classes: give one each."
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
        module = self._with_places(chosen, used.crop).to(pick_device(device))
        kind = "channel" if layout.plan.headless else "class"
        names = tuple(labels or (f"{kind} {index}" for index in range(layout.classes)))
        origin = WeightsOrigin("checkpoint", "; ".join(note))
        return Net(self.name, layout.title, module, names, used, origin, notes=self.notes)

    def _with_places(self, chosen: Sequence[int], side: int) -> nn.Module:
        """Return a network with named places in its blocks, found without numbers on the meta device."""
        try:
            network = find_blocks(self.layout.module(chosen), (3, side, side))
        except ValueError as error:
            raise CheckpointError(f"{self.layout.name(chosen)} cannot be opened: {error}") from error
        network.load_state_dict(dict(self.tensors), assign=True)
        return network.requires_grad_(requires_grad=False)

    def _module(self, chosen: Sequence[int]) -> nn.Module:
        module = self.layout.module(chosen)
        module.load_state_dict(dict(self.tensors), assign=True)
        return module.eval().requires_grad_(requires_grad=False)

    def check_outputs(self) -> None:
        """CheckpointError where the network gives NaN or infinity for a grey ramp, as weights that overflow do."""
        ramp = torch.linspace(-2, 2, PROBE_SIZE).expand(1, 3, PROBE_SIZE, PROBE_SIZE)
        with torch.no_grad():
            logits = self._module(self.layout.usual)(ramp)
        if not torch.isfinite(logits).all():
            largest = max(tensor.abs().max().item() for tensor in self.tensors.values())
            raise CheckpointError(
                "The network of this checkpoint gives NaN or infinity for a plain image (its largest weight is"
                f" {largest:.1e}): the training diverged, or the file is damaged. Use an earlier checkpoint."
            )


def load_checkpoint(
    source: str | Path | bytes,
    labels: Sequence[str] | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    part: str | None = None,
    architecture: str | None = None,
    device: str | torch.device = "auto",
) -> Net:
    """Load a checkpoint of one's own: safetensors, or what `torch.save` wrote; see `read_checkpoint` and `Checkpoint.net`.

    Several networks may fit the same tensors: with another stride, pool or activation. What the batch norms remember of
    training decides between them. Where it does not, CheckpointError lists them in `candidates`, and `architecture` chooses
    one.
    """
    return read_checkpoint(source, part).net(labels, preprocessing=preprocessing, architecture=architecture, device=device)


def extract(data: bytes, part: str | None = None) -> Extract:
    """Take a network's tensors out of a file's bytes; see `read_checkpoint`, which makes a network of them."""
    file = read_file(data)
    selected = select(file, part)
    found = selected.recognised
    _check_size(found, file)
    label = found.part.label if selected.others or part is not None else ""
    return Extract(_tensors(found), file.facts, selected.notes, label)


def read_checkpoint(source: str | Path | bytes, part: str | None = None, extractor: Extractor = extract) -> Checkpoint:
    """Read a file or its bytes, at most 1 GiB, and find the network from its tensors' names and shapes.

    Any torchvision ResNet, ResNeXt or Wide ResNet, with its own stem or the 3x3 stem of small images, and the CIFAR networks of
    He et al. 2015 of any depth 6n + 2, wherever they are in the file. `part` names the one to take where a file holds several,
    for example "model_ema". Nothing in the file is imported or run. CheckpointError with a sentence that names the first tensor
    that is missing, unexpected or of the wrong shape, or says what else is wrong; FileNotFoundError where there is no file.
    A server hands over an `extractor` that works in another process.
    """
    data = source if isinstance(source, bytes) else _file_bytes(Path(source))
    taken = extractor(data, part)
    layout = find_layout({name: tuple(tensor.shape) for name, tensor in taken.tensors.items()})
    sha256 = hashlib.sha256(data).hexdigest()
    checkpoint = Checkpoint(sha256, taken.tensors, layout, taken.facts, taken.notes, taken.part)
    checkpoint.check_outputs()
    return checkpoint


def _file_bytes(path: Path) -> bytes:
    if path.stat().st_size > LIMIT:
        raise CheckpointError(
            f"{path.name} has {path.stat().st_size / 2**20:,.0f} MB: save the weights alone, without the optimizer."
        )
    return path.read_bytes()


def _check_size(found: Recognised, file: CheckpointFile) -> None:
    """Many tensors may be views of the same numbers: then a small file claims a large network."""
    claimed = sum(tensor.size for tensor in (*found.tensors.values(), *found.biases.values()))
    if claimed > file.capacity:
        raise CheckpointError(
            f"The checkpoint claims a network of {claimed / 2**20:,.1f} MB and holds {file.capacity / 2**20:,.1f} MB: its"
            " tensors share their numbers, or it was cut off. Save it again."
        )


def _tensors(found: Recognised) -> dict[str, Tensor]:
    """Return float32 tensors for every name of the network, with the biases of convolutions folded into batch norms."""
    expected = found.layout.module().state_dict()
    tensors = {}
    for key in expected:
        if key.endswith(COUNTER):
            # How many batches were seen matters to further training alone.
            tensors[key] = torch.zeros((), dtype=torch.long)
        elif key in found.tensors:
            tensors[key] = found.tensors[key].values()
        else:
            # Only a bias of the head may be missing.
            tensors[key] = torch.zeros(found.layout.classes)
    for layer, bias in found.biases.items():
        if found.layout.plan.preactivation or not found.layout.plan.statistics:
            raise CheckpointError(
                f"The convolution {shown(bias.name.removesuffix('.bias'))} has a bias that no batch norm follows, which is not"
                " supported. If you have the model's code, open it from Python with rv.from_module(model)."
            )
        tensors[f"{_norm_after(layer, found.layout.plan.stem)}.running_mean"] -= bias.values()
    return tensors


def _norm_after(layer: str, stem: Sequence[str]) -> str:
    """Return the batch norm after a convolution, which subtracts a mean: so a bias before it can be subtracted from that."""
    if layer.endswith("downsample.0"):
        return layer.removesuffix("0") + "1"
    if layer.startswith("conv1."):
        return "bn1" if layer == stem[-1] else f"conv1.{int(layer.rpartition('.')[2]) + 1}"
    head, _, number = layer.rpartition("conv")
    return f"{head}bn{number}"
