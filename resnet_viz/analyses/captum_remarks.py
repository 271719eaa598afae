"""What Captum says about the hooks that it sets, which nobody can do anything about."""

import warnings

# How its warnings begin.
REMARKS = (
    "Setting forward, backward hooks and attributes on non-linear",
    "Setting backward hooks on ReLU activations",
)


def silence_captum() -> None:
    """Leave out Captum's remarks on its hooks: they are on a twin of ours, which nobody else has.

    A context that restores the filters would restore them for other threads as well, at any time.
    """
    for remark in REMARKS:
        warnings.filterwarnings("ignore", remark, UserWarning)
