"""The networks that an engine holds: a few at a time, each on the device that uses it."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import torch

from resnet_viz.nets.imagenet import ARCHITECTURES
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.official import best_weights, weights_file
from resnet_viz.nets.zoo import load

Loader = Callable[[str, bool, torch.device], Net]


def load_here(name: str, trained: bool, device: torch.device) -> Net:  # noqa: FBT001 - the job's words
    """Load a network of the catalogue; WeightsError if its weights are not on this machine: nothing is downloaded."""
    if trained and name in ARCHITECTURES and not weights_file(best_weights(name)).exists():
        raise WeightsError(f"The weights of {ARCHITECTURES[name].title} are not on this machine yet.")
    return load(name, device=device) if trained else load(name, weights=None, device=device)


class Models:
    """At most `limit` networks per device; the least recently used is removed first; thread-safe."""

    def __init__(self, limit: int, loader: Loader = load_here) -> None:
        self._limit, self._loader = limit, loader
        self._held: dict[torch.device, OrderedDict[tuple[str, bool], Net]] = {}
        self._loading = threading.Lock()

    def get(self, name: str, trained: bool, device: torch.device) -> Net:  # noqa: FBT001 - the job's words
        """Return a network, loaded if it is not held; raises what the loader raises."""
        with self._loading:
            held = self._held.setdefault(device, OrderedDict())
            net = held.get((name, trained)) or self._loader(name, trained, device)
            held[name, trained] = net
            held.move_to_end((name, trained))
            while len(held) > self._limit:
                held.popitem(last=False)
            return net

    def __len__(self) -> int:
        """How many networks are held in total."""
        return sum(map(len, self._held.values()))
