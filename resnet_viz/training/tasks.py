"""What networks of the zoo are trained for: classes, input statistics and where the images come from."""

from dataclasses import dataclass

from resnet_viz.nets.cifar import CIFAR10_LABELS, CIFAR10_MEAN, CIFAR10_STD
from resnet_viz.nets.photos import IMAGENET_MEAN, IMAGENET_STD, IMAGENETTE_LABELS
from resnet_viz.training.recipe import CIFAR10_RECIPE, IMAGENETTE_RECIPE, Recipe

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Task:
    """A data set and how its networks are trained.

    Images are files of `side` x `side` pixels in `<split>/<class>/`, read from a folder or from `archives`; `test` is the name
    of the split that is measured on; `mean` and `std` are per channel on the scale 0..1; `note` says what the data are.
    """

    name: str
    labels: tuple[str, ...]
    mean: Triple
    std: Triple
    side: int
    test: str
    archives: tuple[str, ...]
    recipe: Recipe
    note: str


CIFAR10 = Task(
    name="CIFAR-10",
    labels=CIFAR10_LABELS,
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
    side=32,
    test="test",
    archives=("cifar10-jpeg.tar.xz",),
    recipe=CIFAR10_RECIPE,
    note=(
        "CIFAR-10 (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images) as JPEG files of quality 75 with "
        "4:2:0 chroma: a lossy copy. Accuracies are on the JPEG test images and cannot be compared with those on the lossless "
        "set."
    ),
)
IMAGENETTE = Task(
    name="Imagenette and cats",
    labels=IMAGENETTE_LABELS,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    side=160,
    test="val",
    archives=("photos160-train-a.tar", "photos160-train-b.tar", "photos160-val.tar"),
    recipe=IMAGENETTE_RECIPE,
    note=(
        "The ten classes of Imagenette (fast.ai, a subset of ImageNet: Deng et al. 2009) with its standard split, and cats "
        "from the Asirra data set (Elson et al. 2007), as WebP files of quality 72 and 160x160 pixels, squashed to a square. "
        "ImageNet's terms allow non-commercial research and education."
    ),
)
