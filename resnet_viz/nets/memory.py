"""The memory that an inspection will take, estimated beforehand, and the memory that is free."""

import math
import os
from pathlib import Path

import torch
from torch import Tensor

from resnet_viz.nets.checkpoints.errors import CheckpointError
from resnet_viz.nets.net import Net

# In addition to the backward pass there are the maps of every block and their gradients, and space for one layer's work.
FACTOR = 3
# The share of the free memory for one inspection: others are at work, too.
SHARE = 0.25
# Networks receive squares with a side that is a multiple of this.
STEP = 32
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def inspection_bytes(net: Net) -> int:
    """Estimate the memory of one inspection in bytes, from a pass without memory on the meta device."""
    twin = net.twin().to("meta")
    # A storage is identified by its address in C: on the meta device the data of all have the same one.
    weights = {_address(tensor) for tensor in (*twin.parameters(), *twin.buffers())}
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[_address(tensor)] = tensor
        return tensor

    side = net.preprocessing.crop
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = twin(torch.empty(1, 3, side, side, device="meta", requires_grad=True))
    del output
    return FACTOR * sum(tensor.untyped_storage().nbytes() for key, tensor in kept.items() if key not in weights)


def free_bytes(device: torch.device) -> int:
    """Return the free memory of a device: for a CPU, what the system, or the container, can still provide."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = _system_bytes()
    if _LIMIT.exists() and (limit := _LIMIT.read_text().strip()).isdecimal():
        free = min(free, int(limit) - int(_USED.read_text()))
    return max(0, free)


def check_memory(net: Net, free: int | None = None) -> None:
    """Refuse a network if its inspection would take too much memory; `free` bytes are available, by default as measured.

    Raises:
        CheckpointError: with a sentence that names the largest crop that fits.
    """
    needed = inspection_bytes(net)
    spared = int(SHARE * (free_bytes(net.device) if free is None else free))
    if needed <= spared:
        return
    side = net.preprocessing.crop
    # The part that does not grow with the pixels is small: a few percent.
    fits = int(0.97 * side * math.sqrt(spared / needed)) // STEP * STEP
    way_out = f"set a crop of at most {fits} pixels" if fits else "use a smaller network, or run ResNet Viz on a larger machine"
    raise CheckpointError(
        f"Inspecting this network at {side}×{side} pixels takes about {needed / 1e9:.2g} GB of memory, and this server can"
        f" spare {spared / 1e9:.2g} GB for it: {way_out}."
    )


def _address(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata  # noqa: SLF001 - a storage has no other identity
    return address


def _system_bytes() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        if "MemAvailable" in lines:
            return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
