"""Everybody's own checkpoint: which network its tensors are of, and that network, ready to be looked into."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from resnet_viz.nets.checkpoint_file import LIMIT, CheckpointError, read_tensors
from resnet_viz.nets.layouts import Layout, find_layout, shape_of
from resnet_viz.nets.naming import torchvision_names
from resnet_viz.nets.net import Net, WeightsOrigin, pick_device
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.wiring import Wiring, most_plausible

COUNTER = ".num_batches_tracked"

Reader = Callable[[bytes], dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint that was read and fits: float32 tensors by torchvision's names, and what network they are of."""

    sha256: str
    tensors: Mapping[str, Tensor]
    layout: Layout

    @property
    def name(self) -> str:
        """What tells it from others: the same bytes have the same name."""
        return f"checkpoint-{self.sha256[:12]}"

    @property
    def nbytes(self) -> int:
        """Memory of all tensors in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @cached_property
    def wiring(self) -> Wiring:
        """The wiring that the batch norms' statistics speak for."""
        modules = {wiring: self._module(wiring) for wiring in self.layout.wirings}
        return most_plausible(modules, self.layout.preprocessing)

    def net(
        self,
        labels: Sequence[str] | None = None,
        *,
        preprocessing: Preprocessing | None = None,
        wiring: Wiring | None = None,
        device: str | torch.device = "auto",
    ) -> Net:
        """Build the network, sharing the tensors.

        Without `labels` the classes are called by their numbers, without `preprocessing` it is the family's usual one.
        `wiring` is one of `layout.wirings`. CheckpointError for the wrong number of labels, ValueError for an unknown wiring
        or device.
        """
        layout = self.layout
        if labels is not None and len(labels) != layout.classes:
            raise CheckpointError(
                f"{len(labels)} labels were given and the checkpoint has {layout.classes} classes: give one each."
            )
        if wiring is not None and wiring not in layout.wirings:
            raise ValueError(
                f"wiring {wiring!r} does not fit these tensors: take one of {', '.join(map(repr, layout.wirings))}"
            )
        chosen = wiring or self.wiring
        note = f"a checkpoint, SHA-256 {self.sha256[:12]}…, its accuracy not measured here"
        if len(layout.wirings) > 1:
            note += f"; read as {chosen}" + ("" if wiring else ", which fits its batch norms best")
        module = self._module(chosen).to(pick_device(device))
        names = tuple(labels or (f"class {index}" for index in range(layout.classes)))
        origin = WeightsOrigin("checkpoint", note)
        return Net(self.name, layout.title, module, names, preprocessing or layout.preprocessing, origin)

    def _module(self, wiring: Wiring) -> nn.Module:
        module = self.layout.wirings[wiring]()
        module.load_state_dict(dict(self.tensors), assign=True)
        return module.eval().requires_grad_(requires_grad=False)


def load_checkpoint(
    source: str | Path | bytes,
    labels: Sequence[str] | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    wiring: Wiring | None = None,
    device: str | torch.device = "auto",
) -> Net:
    """Load a checkpoint of one's own: safetensors, or what `torch.save` wrote; see `read_checkpoint` and `Checkpoint.net`."""
    return read_checkpoint(source).net(labels, preprocessing=preprocessing, wiring=wiring, device=device)


def read_checkpoint(source: str | Path | bytes, read: Reader = read_tensors) -> Checkpoint:
    """Read a file or its bytes, at most 1 GiB, and find the network from its tensors' names and shapes.

    Any torchvision ResNet, ResNeXt or Wide ResNet, with its own stem or the 3x3 stem of small images, and the CIFAR networks of
    He et al. 2015 of any depth 6n + 2. CheckpointError with a sentence that names the first tensor that is missing, unexpected
    or of the wrong shape, or says what else is wrong; FileNotFoundError where there is no file. `read` makes tensors of the
    bytes: a server hands over one that does it in another process.
    """
    data = source if isinstance(source, bytes) else _file_bytes(Path(source))
    given = read(data)
    try:
        names = torchvision_names(list(given))
    except ValueError as error:
        raise CheckpointError(
            f"Two tensors of the checkpoint are one and the same ({error}): save one network alone."
        ) from error
    layout = find_layout({official: given[name] for official, name in names.items()})
    expected = next(iter(layout.wirings.values()))().state_dict()
    _check(given, names, expected)
    tensors = {key: _counter() if key.endswith(COUNTER) else _float32(given[names[key]], names[key]) for key in expected}
    return Checkpoint(hashlib.sha256(data).hexdigest(), tensors, layout)


def _file_bytes(path: Path) -> bytes:
    if path.stat().st_size > LIMIT:
        raise CheckpointError(
            f"{path.name} has {path.stat().st_size / 2**20:,.0f} MB: save the weights alone, without the optimiser."
        )
    return path.read_bytes()


def _check(given: Mapping[str, Tensor], names: Mapping[str, str], expected: Mapping[str, Tensor]) -> None:
    """Refuse, by its name in the file, the first tensor that does not fit."""
    for key, wanted in expected.items():
        if key.endswith(COUNTER):
            continue
        if key not in names:
            raise CheckpointError(
                f"The tensor {key} is missing, as torchvision calls it: the checkpoint was cut, or is of a relative."
            )
        found = given[names[key]]
        if found.shape != wanted.shape:
            raise CheckpointError(
                f"The tensor {names[key]} has the shape {shape_of(found)} where {shape_of(wanted)} is wanted: the checkpoint"
                " is of a relative of the networks that are known here."
            )
    unexpected = next((name for key, name in names.items() if key not in expected), None)
    if unexpected is not None:
        raise CheckpointError(
            f"The tensor {unexpected} is unexpected: the checkpoint is of a relative with more layers than are known here."
        )


def _counter() -> Tensor:
    # How many batches were seen matters to further training alone.
    return torch.zeros((), dtype=torch.long)


def _float32(tensor: Tensor, name: str) -> Tensor:
    if not tensor.is_floating_point() or tensor.is_quantized or tensor.layout != torch.strided:
        raise CheckpointError(f"The tensor {name} holds {tensor.dtype} numbers: save it as floating-point numbers.")
    values = tensor.detach().float().contiguous()
    if not values.isfinite().all():
        raise CheckpointError(f"The tensor {name} holds NaN or infinity: the training went wrong, take an earlier checkpoint.")
    if name.endswith("running_var") and values.min() < 0:
        raise CheckpointError(f"The tensor {name} holds a negative variance: the checkpoint is damaged.")
    return values
