"""The recipe of each family of shipped networks, as data."""

from dataclasses import dataclass
from typing import Literal

TrainingPrecision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum under a one-cycle schedule (Smith and Topin 2017, https://arxiv.org/abs/1708.07120).

    Augmentation: a random flip, and either a random crop after padding by `padding` pixels (He et al. 2015, section 4.2) or, if
    `smallest_crop` is set, a random resized crop of at least that share of the area with an aspect ratio between 3/4 and 4/3
    (Szegedy et al. 2015, https://arxiv.org/abs/1409.4842). `sizes` are (first epoch, pixels) pairs in order: from that epoch
    on, crops are resized to that many pixels. `label_smoothing` is the share of the target spread over all classes;
    `decay_norms` says whether weight decay applies to norms and biases as well; `averaging` is the decay per step of the moving
    average of the weights, 0 for none. `precision` is that of the forward pass under autocast; weights and gradients stay in
    float32. `trivial_augment` changes each image by one random operation of random strength (Müller and Hutter 2021,
    https://arxiv.org/abs/2103.10158); `mixed` is the share of the batches whose images and targets are mixed in pairs, half of
    them by MixUp (Zhang et al. 2018, https://arxiv.org/abs/1710.09412, alpha 0.2) and half by CutMix (Yun et al. 2019,
    https://arxiv.org/abs/1905.04899, alpha 1).
    """

    epochs: int = 24
    batch_size: int = 128
    peak_learning_rate: float = 0.2
    warm_up: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    padding: int = 4
    seed: int = 0
    precision: TrainingPrecision = "float32"
    smallest_crop: float | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    label_smoothing: float = 0.0
    decay_norms: bool = True
    averaging: float = 0.0
    trivial_augment: bool = False
    mixed: float = 0.0

    def size(self, epoch: int) -> int | None:
        """Return the side of the crops in an epoch counted from 0, or None if the images keep their own."""
        return max((start, pixels) for start, pixels in self.sizes if start <= epoch)[1] if self.sizes else None


CIFAR10_RECIPE = Recipe()
# For a GPU: four minutes there, more than three hours on two cores. Crops enlarged to 160 pixels show things about as large as
# whole photos at 192 pixels do, the size at which the networks are used.
IMAGENETTE_RECIPE = Recipe(
    epochs=80,
    batch_size=128,
    peak_learning_rate=0.2,
    warm_up=0.1,
    padding=0,
    smallest_crop=0.35,
    sizes=((0, 128), (40, 160)),
    label_smoothing=0.1,
    decay_norms=False,
    averaging=0.995,
    trivial_augment=True,
    mixed=0.5,
)
