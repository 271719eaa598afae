"""What the shipped networks are trained for: classes, input statistics and the origin of the images."""

from dataclasses import dataclass

from resnet_viz.nets.cifar import CIFAR10_LABELS
from resnet_viz.nets.photos import ADDED_LABEL, IMAGENETTE_LABELS
from resnet_viz.nets.zoo import CIFAR_PREPROCESSING, CIFAR_TASK, PHOTO_PREPROCESSING, PHOTO_TASK
from resnet_viz.training.recipe import CIFAR10_RECIPE, IMAGENETTE_RECIPE, Recipe

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class TrainingTask:
    """A data set, how its networks are trained, and how they are evaluated.

    Images are files of `side` x `side` pixels in `<split>/<class>/`, read from a folder or from `archives`; `test` is the name
    of the evaluation split; `mean` and `std` are per channel on the scale 0..1; `note` describes the data, `limits` what the
    networks cannot do. Accuracies are measured at `evaluation` pixels. `half` ships the weights in float16; `added` is a class
    in addition to those of the published data set, left out for comparisons with published figures.
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
    limits: str
    evaluation: int
    half: bool = False
    added: str = ""


CIFAR10 = TrainingTask(
    name=CIFAR_TASK,
    labels=CIFAR10_LABELS,
    mean=CIFAR_PREPROCESSING.mean,
    std=CIFAR_PREPROCESSING.std,
    side=32,
    test="test",
    archives=("cifar10-jpeg.tar.xz",),
    recipe=CIFAR10_RECIPE,
    note=(
        "CIFAR-10 (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images) as JPEG files of quality 75 with "
        "4:2:0 chroma: a lossy copy. Accuracies are on the JPEG test images and cannot be compared with those on the lossless "
        "set."
    ),
    limits=(
        "Ten classes, and 32x32 pixels of anything: other subjects get one of the ten names all the same. For teaching, not "
        "for decisions."
    ),
    evaluation=CIFAR_PREPROCESSING.crop,
)
IMAGENETTE = TrainingTask(
    name=PHOTO_TASK,
    labels=IMAGENETTE_LABELS,
    mean=PHOTO_PREPROCESSING.mean,
    std=PHOTO_PREPROCESSING.std,
    side=160,
    test="val",
    archives=("photos160-train-a.tar", "photos160-train-b.tar", "photos160-val.tar"),
    recipe=IMAGENETTE_RECIPE,
    note=(
        "The ten classes of Imagenette (fast.ai, a subset of ImageNet: Deng et al. 2009) with its standard split, and cats "
        "from the Asirra data set (Elson et al. 2007), as WebP files of quality 72 and 160x160 pixels, squashed to a square. "
        "ImageNet's terms allow non-commercial research and education."
    ),
    limits=(
        "Eleven classes: any other subject gets one of the eleven names all the same. Under ImageNet's terms, for "
        "non-commercial research and education. Not for decisions."
    ),
    evaluation=PHOTO_PREPROCESSING.crop,
    half=True,
    added=ADDED_LABEL,
)

# By the name that the catalogue gives a network's task.
TASKS = {CIFAR_TASK: CIFAR10, PHOTO_TASK: IMAGENETTE}
