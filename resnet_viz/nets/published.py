"""The figures that torchvision publishes about its official weights: accuracy, training recipe and cost."""

from dataclasses import dataclass

from resnet_viz.nets.official import best_weights


@dataclass(frozen=True)
class Published:
    """Published results: `top1` and `top5` are accuracies on ImageNet's validation images, centre crop, in [0, 1].

    `weights` is torchvision's name, `multiply_adds` are for one image, `recipe` is the address of the training recipe.
    """

    weights: str
    top1: float
    top5: float
    multiply_adds: float
    recipe: str


def published(name: str) -> Published:
    """Return the figures of torchvision's default weights of one of the ten networks; ValueError for another name."""
    weights = best_weights(name)
    scores = weights.meta["_metrics"]["ImageNet-1K"]
    return Published(
        weights=weights.name,
        top1=scores["acc@1"] / 100,
        top5=scores["acc@5"] / 100,
        multiply_adds=1e9 * weights.meta["_ops"],
        recipe=weights.meta["recipe"],
    )
