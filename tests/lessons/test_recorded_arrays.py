"""Arrays in recordings: what is written is read again, to five digits."""

import json

import numpy as np
import pytest

from resnet_viz.lessons.recorded_arrays import from_lists, to_lists


def test_what_is_written_is_read_to_five_digits() -> None:
    values = np.array([[1.2345678, np.inf, 0], [np.nan, -7654321, 1e-9]], np.float32)
    lists = json.loads(json.dumps(to_lists(values), allow_nan=False))
    assert lists == [[1.2346, None, 0], [None, -7654300, 1e-9]]
    expected = np.array([[1.2346, np.nan, 0], [np.nan, -7654300, 1e-9]], np.float32)
    np.testing.assert_array_equal(from_lists(lists, 2, 3), expected)


@pytest.mark.parametrize("numbers", [[1, 2, 3], [[1, 2], [3]], [["x", 1], [2, 3]], None, {"a": 1}])
def test_what_is_no_array_of_the_shape_is_refused(numbers: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_lists(numbers, 2, 2)
