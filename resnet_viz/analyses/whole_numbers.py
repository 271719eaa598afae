"""Which values are whole numbers, wherever one is given from outside."""

from numbers import Integral


def is_whole(value: object) -> bool:
    """Whether a value is a whole number of Python or NumPy; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)
