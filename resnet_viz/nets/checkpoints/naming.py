"""How public code names the tensors of a ResNet, turned into torchvision's names.

The habits were read in the repositories that the comments name; all of them write the same networks.
"""

import re
from collections.abc import Iterable

from resnet_viz.nets.checkpoints.errors import shown

# What training scripts wrap a network in: DataParallel, torch.compile, an averaged copy, Lightning and the like, OpenMMLab.
PREFIXES = re.compile(r"^(?:(?:module|_orig_mod|model|net|network|backbone|resnet)\.)+")

# Counters that others leave beside the tensors: torch's averaged model, the profiler thop.
COUNTERS = re.compile(r"(^|\.)(n_averaged|total_ops|total_params|num_batches_tracked)$")

RENAMINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        # huggingface/transformers
        (r"^embedder\.embedder\.convolution\.", "conv1."),
        (r"^embedder\.embedder\.normalization\.", "bn1."),
        (r"^encoder\.stages\.(\d+)\.layers\.", r"stages.\1."),
        (r"\.layer\.0\.convolution\.", ".conv1."),
        (r"\.layer\.0\.normalization\.", ".bn1."),
        (r"\.layer\.1\.convolution\.", ".conv2."),
        (r"\.layer\.1\.normalization\.", ".bn2."),
        (r"\.layer\.2\.convolution\.", ".conv3."),
        (r"\.layer\.2\.normalization\.", ".bn3."),
        (r"\.shortcut\.convolution\.", ".downsample.0."),
        (r"\.shortcut\.normalization\.", ".downsample.1."),
        # weiaicunzai/pytorch-cifar100
        (r"^conv1\.0\.", "conv1."),
        (r"^conv1\.1\.", "bn1."),
        (r"\.residual_function\.0\.", ".conv1."),
        (r"\.residual_function\.1\.", ".bn1."),
        (r"\.residual_function\.3\.", ".conv2."),
        (r"\.residual_function\.4\.", ".bn2."),
        (r"\.residual_function\.6\.", ".conv3."),
        (r"\.residual_function\.7\.", ".bn3."),
        # hysts/pytorch_image_classification
        (r"^conv\.", "conv1."),
        (r"^bn\.", "bn1."),
        (r"\.shortcut\.conv\.", ".downsample.0."),
        (r"\.shortcut\.bn\.", ".downsample.1."),
        # ResNeXt-DenseNet and the pruning code that grew from it
        (r"^conv_1_3x3\.", "conv1."),
        (r"^bn_1\.", "bn1."),
        (r"\.conv_a\.", ".conv1."),
        (r"\.bn_a\.", ".bn1."),
        (r"\.conv_b\.", ".conv2."),
        (r"\.bn_b\.", ".bn2."),
        # meliketoy/wide-resnet.pytorch, xternalz/WideResNet-pytorch
        (r"^block(\d+)\.layer\.(\d+)\.", r"layer\1.\2."),
        (r"\.convShortcut\.", ".downsample.0."),
        # kuangliu/pytorch-cifar, akamaster/pytorch_resnet_cifar10
        (r"\.shortcut\.", ".downsample."),
        # Heads: torchvision's fc, with or without a dropout before it; linear, classifier and other names
        (r"^(?:head\.)?(?:fc|linear|classifier|last_linear|head)\.(?:\d+\.)?(weight|bias)$", r"fc.\1"),
    )
)

# Stems of several convolutions, and shortcuts whose pool counts as a layer, as timm writes ResNet-C and -D.
DEEP_STEM = re.compile(r"(?:^|\.)conv1\.[2-9]\.weight$")
POOLED_SHORTCUT = re.compile(r"\.downsample\.2\.")
COUNTED_SHORTCUT = re.compile(r"\.downsample\.([12])\.")

# Heads of several layers: nn.Sequential counts them.
NUMBERED_HEAD = re.compile(r"(?:^|\.)(?:fc|linear|classifier|last_linear|head)\.(\d+)\.(weight|bias|running_mean|running_var)$")

# The four or three stages, whatever they are called, and whether they count from 0, 1 or 2.
STAGE = re.compile(r"^(?:layer|stage_?|stages\.|conv)(\d+)(?:_x)?\.(?:block)?(\d+)\.(?=[a-z])")


def torchvision_names(names: list[str]) -> dict[str, str]:
    """Map torchvision's names to those given, leaving out counters; ValueError names two that mean the same tensor."""
    found: dict[str, str] = {}
    deep = any(map(DEEP_STEM.search, names))
    layered = len({match[1] for match in map(NUMBERED_HEAD.search, names) if match}) > 1
    wanted = {name: _renamed(PREFIXES.sub("", name), deep=deep, layered=layered) for name in names if not COUNTERS.search(name)}
    if any(map(POOLED_SHORTCUT.search, wanted.values())):
        wanted = {
            name: COUNTED_SHORTCUT.sub(lambda match: f".downsample.{int(match[1]) - 1}.", renamed)
            for name, renamed in wanted.items()
        }
    # A stem of several layers is named like a stage of blocks: conv1.0, conv1.3.
    stem = {name for name in wanted.values() if deep and name.startswith("conv1.")}
    first = _first_of_stages(name for name in wanted.values() if name not in stem)
    for name, renamed in wanted.items():
        official = renamed if renamed in stem else STAGE.sub(lambda match: _stage_name(match, *first), renamed)
        if official in found:
            raise ValueError(f"{shown(found[official])} and {shown(name)} would both be {shown(official)}")
        found[official] = name
    return found


def _renamed(name: str, *, deep: bool, layered: bool) -> str:
    if deep and name.startswith("conv1."):
        return name
    if layered and (match := NUMBERED_HEAD.search(name)):
        return f"fc.{match[1]}.{match[2]}"
    for pattern, replacement in RENAMINGS:
        name = pattern.sub(replacement, name)
    return name


def _first_of_stages(names: Iterable[str]) -> tuple[int, int]:
    """Return the numbers of the first stage and of its first block: some count from 0, others from 1 or 2."""
    places = [(int(match[1]), int(match[2])) for match in map(STAGE.match, names) if match]
    return (min(stage for stage, _ in places), min(block for _, block in places)) if places else (1, 0)


def _stage_name(match: re.Match[str], first_stage: int, first_block: int) -> str:
    return f"layer{int(match[1]) - first_stage + 1}.{int(match[2]) - first_block}."
