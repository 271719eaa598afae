"""Which weights a network has: a hash, by which a survey of the network is recognised."""

from dataclasses import dataclass

from resnet_viz.analyses.survey.manifest import weights_hash
from resnet_viz.nets.net import Net


@dataclass(frozen=True)
class WeightsDigest:
    """The SHA-256 of all tensors of a network, as the manifest of a survey has it."""

    sha256: str

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return len(self.sha256)


def weights_digest(net: Net) -> WeightsDigest:
    """Hash the names, types, shapes and numbers of all parameters and buffers."""
    return WeightsDigest(weights_hash(net))
