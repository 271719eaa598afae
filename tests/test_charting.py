"""Charts that stand for themselves: the table of their points, against points written by hand."""

import io

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resnet_viz.reporting.charting import of_chart, plotted


def test_the_points_of_named_series_are_rows_under_the_titles_of_the_axes() -> None:
    figure = go.Figure([go.Bar(x=["1.0", "1.1"], y=[3, 4], name="cost"), go.Scatter(x=[0], y=[9])])
    figure.update_layout(xaxis_title="block", yaxis_title="multiply-adds")
    expected = pd.DataFrame({"series": "cost", "block": ["1.0", "1.1"], "multiply-adds": [3, 4]}).set_index("series")
    pd.testing.assert_frame_equal(plotted(figure), expected, check_dtype=False)


def test_panels_are_numbered_and_whiskers_have_columns() -> None:
    figure = make_subplots(1, 2)
    figure.add_trace(go.Scatter(x=[1], y=[2], name="a"), 1, 1)
    figure.add_trace(go.Scatter(x=[3], y=[4], name="b", error_y={"array": [0.5], "arrayminus": [0.25]}), 1, 2)
    first, second = plotted(figure).reset_index().to_dict("records")
    assert (first["series"], first["panel"], first["x"], first["y"]) == ("a", 1, 1, 2)
    assert second == {"series": "b", "panel": 2, "x": 3, "y": 4, "whisker above": 0.5, "whisker below": 0.25}


def test_a_series_without_a_name_is_kept_where_it_is_the_only_one() -> None:
    assert plotted(go.Figure(go.Scatter(x=[1, 2], y=[3, 5])))["y"].tolist() == [3, 5]


def test_numbers_that_are_given_are_written_as_they_are() -> None:
    piece = of_chart("loss-contours", go.Figure, {"loss": np.eye(2)})
    assert (piece.title, piece.kind, piece.file_name) == ("Loss contours", "NPZ", "loss-contours.npz")
    with np.load(io.BytesIO(piece.data())) as arrays:
        assert arrays["loss"].tolist() == [[1, 0], [0, 1]]
    assert of_chart("table", go.Figure, pd.DataFrame({"a": [1]})).kind == "CSV"
