"""Places of charts on one figure, against those of Plotly's `make_subplots`."""

import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from resnet_viz.figures.cells import cells
from resnet_viz.figures.theme import LIGHT


@pytest.mark.parametrize(("rows", "widths"), [(1, (1, 1)), (2, (1, 1, 1)), (1, (0.35, 0.35, 0.3))])
def test_cells_lie_where_subplots_lie(rows: int, widths: tuple[float, ...]) -> None:
    wanted = make_subplots(rows, len(widths), column_widths=widths, horizontal_spacing=0.07, vertical_spacing=0.2).layout
    found = cells(widths, rows, gap=0.07, row_gap=0.2)
    assert [cell.number for cell in found] == ["", *map(str, range(2, rows * len(widths) + 1))]
    for cell in found:
        assert cell.across == pytest.approx(wanted[f"xaxis{cell.number}"].domain)
        assert cell.up == pytest.approx(wanted[f"yaxis{cell.number}"].domain)


def test_what_a_cell_says_is_a_valid_layout() -> None:
    left, right = cells((1, 1), gap=0.1)
    fig = go.Figure([go.Scatter(y=[1, 2], **cell.axes) for cell in (left, right)])
    fig.update_layout(
        **left.layout({"title": "x"}, {"type": "log"}),
        **right.layout({}, {}),
        annotations=[left.title("A", LIGHT), {"text": "B", "x": 1, "y": 1, **right.references}],
        shapes=[right.upright(0.5, LIGHT)],
        overwrite=True,
    )
    assert (fig.data[1].xaxis, fig.layout.xaxis2.anchor, fig.layout.yaxis.type) == ("x2", "y2", "log")
    assert fig.layout.annotations[0].x == pytest.approx(0.225)
    assert (fig.layout.shapes[0].xref, fig.layout.shapes[0].yref) == ("x2", "y2 domain")
