"""A network of your own, opened from Python: any module with residual additions."""

from collections.abc import Sequence

from torch import nn

from resnet_viz.nets.net import Net, WeightsOrigin
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.residual_graph import find_blocks
from resnet_viz.nets.residual_graph.copying import evaluation_copy, unwrapped

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
    of the weights is shared, so that later training has an effect; half-precision weights are copied to float32, in which the
    analyses are accurate. Without `labels` the classes are numbered; without `preprocessing` images are resized to 256 and
    cropped to 224 pixels with ImageNet's mean and standard deviation; `weights.note` says so.

    ValueError if no residual addition is found (it lists what was found), if the network cannot be traced or does not run on
    such an image, if its output is not (N, classes), and if the number of labels differs from the number of classes.
    """
    inner = unwrapped(module)
    title = name or type(inner).__name__
    chosen = preprocessing or USUAL
    copy = evaluation_copy(inner)
    halved = sorted(
        {str(p.dtype).removeprefix("torch.") for p in copy.parameters() if p.is_floating_point() and p.itemsize != 4}
    )
    # The copy's parameters are separate objects with the module's memory: neither step affects the module.
    network = find_blocks(copy.float().requires_grad_(requires_grad=False), (3, chosen.crop, chosen.crop))
    shape = network.residual_findings.output_shape
    if len(shape) != 1:
        raise ValueError(
            f"{title} returns {'×'.join(map(str, shape)) or 'one number'} numbers for an image, but a classifier returns one "
            f"logit per class, (N, classes). Open the classifier, not a backbone or a segmentation network."
        )
    if labels is not None and len(labels) != shape[0]:
        raise ValueError(f"{len(labels)} labels were given, but {title} has {shape[0]} classes. Pass one label per class.")
    names = tuple(labels) if labels is not None else tuple(f"class {index}" for index in range(shape[0]))
    note = ["opened from Python, its accuracy not measured here"]
    if preprocessing is None:
        note.append(
            f"images are assumed to be cropped to {USUAL.crop} pixels and normalised with ImageNet's mean and deviation"
        )
    if labels is None:
        note.append("classes are numbered, because no labels were given")
    if halved:
        note.append(f"its {' and '.join(halved)} weights are computed in float32")
    return Net(title, title, network, names, chosen, WeightsOrigin("module", "; ".join(note)))
