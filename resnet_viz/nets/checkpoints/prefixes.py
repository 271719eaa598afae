"""Where in the names of a state dict the networks begin: the prefix that all names of one share, whatever it is.

Training code wraps networks and calls them as it likes: `module.`, `model.`, `backbone.`, `encoder_q.`, `1.`.
"""

import re
from collections import Counter
from collections.abc import Iterable

# A block of a stage, as `naming` knows it, wherever in a name it stands.
BLOCK = re.compile(
    r"(?:^|(?<=\.))(?:encoder\.stages\.\d+\.layers\.\d+|block\d+\.layer\.\d+|(?:layer|stage_?|stages\.|conv)\d+(?:_x)?\.(?:block)?\d+)\.(?=[a-z])"
)
MOST_PREFIXES = 16
NEARLY_ALL = 0.9


def network_prefixes(names: Iterable[str]) -> list[str]:
    """Return the prefixes of the networks among the names, that of most tensors first; [""] where no block is found.

    A prefix of much fewer tensors than the first one's belongs to a part of that network.
    """
    votes = Counter(name[: match.start()] for name in names if (match := BLOCK.search(name)))
    if not votes:
        return [""]
    ordered = votes.most_common(MOST_PREFIXES)
    return [prefix for prefix, count in ordered if 2 * count >= ordered[0][1]]


def split(names: Iterable[str], prefix: str, others: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the names under a prefix, and those under no network's prefix; names under another network's are neither."""
    nested = tuple(other for other in others if other != prefix and other.startswith(prefix))
    foreign = tuple(other for other in others if other not in ("", prefix))
    inside, outside = [], []
    for name in names:
        if name.startswith(prefix) and not (nested and name.startswith(nested)):
            inside.append(name)
        elif not (foreign and name.startswith(foreign)):
            outside.append(name)
    return inside, outside


def common_prefix(names: Iterable[str]) -> str:
    """Return the first part of the names with its dot, if nearly all share it: the others may belong to a loss or a metric."""
    firsts = Counter(name.partition(".")[0] for name in names if "." in name)
    if not firsts:
        return ""
    first, count = firsts.most_common(1)[0]
    return f"{first}." if count >= NEARLY_ALL * firsts.total() else ""
