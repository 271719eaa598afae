"""A network of your own, opened from Python: any module with residual additions."""

from collections.abc import Sequence

from torch import nn

from resnet_viz.nets.labels import checked_labels
from resnet_viz.nets.net import Net, WeightsOrigin
from resnet_viz.nets.preprocessing import Preprocessing, check_preprocessing
from resnet_viz.nets.residual_graph import NoResidualAdditionsError, ResidualNetwork, find_blocks
from resnet_viz.nets.residual_graph.copying import count_hooks, evaluation_copy, unwrapped

# The default if no preprocessing is given: torchvision's usual one for ImageNet.
USUAL = Preprocessing(256, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def from_module(
    module: nn.Module,
    *,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    name: str | None = None,
) -> Net:
    """Open any module with residual additions: rv.from_module(my_network, labels=["cat", "dog"]).

    The network takes images (N, 3, H, W) and returns logits (N, classes), alone, first of several, or as `.logits` of an object
    or a dict. It is traced on its own device in evaluation mode; the module, its mode and its hooks stay unchanged. The memory
    of the weights is shared, so that later training has an effect; weights of another precision are copied to float32, in which
    the analyses are accurate, unless the forward pass casts to theirs. Without `labels` the classes are numbered; without
    `preprocessing` images are resized to 256 and cropped to 224 pixels with ImageNet's mean and standard deviation;
    `weights.note` says so.

    ValueError if no residual addition is found (it lists what was found), if the network cannot be traced or does not run on
    such an image, if its output is not (N, classes), if images in a batch influence one another, and if the number of labels
    differs from the number of classes. TypeError for anything but a module, for labels that are not texts, and for another
    preprocessing than an `rv.Preprocessing`.
    """
    if isinstance(module, Net):
        raise TypeError(f"{module.title} is open already: it is a Net. Use it as it is, or pass its `module`")
    check_preprocessing(preprocessing)
    names = None if labels is None else checked_labels(labels)
    inner = unwrapped(module)
    title = name or type(inner).__name__
    if any(tensor.is_meta for tensor in (*inner.parameters(), *inner.buffers())):
        raise ValueError(f"{title} is on the meta device, without the values of its weights. Load them first")
    chosen = preprocessing or USUAL
    copy = evaluation_copy(inner)
    others = sorted(
        {str(p.dtype).removeprefix("torch.") for p in copy.parameters() if p.is_floating_point() and p.itemsize != 4}
    )
    network, converted = _network(copy, chosen.crop, has_other_types=bool(others))
    shape = network.residual_findings.output_shape
    if len(shape) != 1:
        raise ValueError(
            f"{title} returns {_size(shape)} for an image, but a classifier returns one "
            f"logit per class, (N, classes). Open the classifier, not a backbone or a segmentation network."
        )
    if names is not None and len(names) != shape[0]:
        raise ValueError(f"{len(names)} labels were given, but {title} has {shape[0]} classes. Pass one label per class.")
    note: list[str] = []
    if preprocessing is None:
        note.append(
            f"images are assumed to be cropped to {USUAL.crop} pixels and normalised with ImageNet's mean and deviation"
        )
    if names is None:
        names = tuple(f"class {index}" for index in range(shape[0]))
        note.append("classes are numbered, because no labels were given")
    if others:
        how = "are computed in float32" if converted else "stay what they are, because its forward pass casts to them"
        note.append(f"its {' and '.join(others)} weights {how}")
    hooks = count_hooks(inner)
    if hooks:
        note.append(f"{hooks} of its hooks {'does' if hooks == 1 else 'do'} not run here, whatever they change")
    wild = sum(int((~tensor.isfinite()).sum()) for tensor in copy.parameters() if tensor.is_floating_point())
    if wild:
        note.append(f"{wild:,} of its weights {'is' if wild == 1 else 'are'} NaN or infinite")
    origin = WeightsOrigin("module", "; ".join(["opened from Python, its accuracy not measured here", *note]))
    return Net(title, title, network, names, chosen, origin, notes=tuple(note))


def _network(module: nn.Module, side: int, *, has_other_types: bool) -> tuple[ResidualNetwork, bool]:
    """Find the blocks with all weights in float32, or as they are where that fails; return whether they were converted.

    A forward pass that casts its input to another type does not run with weights in float32.
    """
    # The copies' parameters are separate objects with the module's memory: no step affects the module.
    converted = evaluation_copy(module).float().requires_grad_(requires_grad=False)
    try:
        return find_blocks(converted, (3, side, side)), True
    except NoResidualAdditionsError:
        raise
    except ValueError:
        if not has_other_types:
            raise
    return find_blocks(module.requires_grad_(requires_grad=False), (3, side, side)), False


def _size(shape: tuple[int, ...]) -> str:
    return f"{'×'.join(map(str, shape))} numbers" if shape else "one number"
