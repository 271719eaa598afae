"""A strong image of a channel: the network input, with the place of the activation and its receptive field marked."""

import plotly.graph_objects as go
from PIL import Image

from resnet_viz.analyses.place_fields import PlaceFields
from resnet_viz.figures.data_urls import data_url
from resnet_viz.figures.theme import ATTRIBUTION, LIGHT, Theme, finish, plain

SIDE = 200
WHITE = "#FFFFFF"


def peak_photo(
    photo: Image.Image | str, field: PlaceFields, row: int, column: int, value: float, name: str, theme: Theme = LIGHT
) -> go.Figure:
    """Draw the network input as a square, the cell as a solid frame and its receptive field as a dashed frame.

    `photo` may be a URL that contains the bytes of the image.
    """
    height, width = field.input_size
    fig = go.Figure()
    fig.add_layout_image(
        source=photo if isinstance(photo, str) else data_url(photo, "JPEG"),
        x=0,
        y=0,
        sizex=width,
        sizey=height,
        xref="x",
        yref="y",
        sizing="stretch",
        layer="below",
    )
    left, top, right, bottom = field.box(row, column)
    inside = field.cell(row, column)
    frames = [
        _frame((left, top, right, bottom), WHITE, 2, "dash"),
        # A white outline keeps the frame visible on every photo.
        _frame(inside, WHITE, 4),
        _frame(inside, ATTRIBUTION, 2),
    ]
    hidden = {"visible": False}
    fig.update_layout(
        xaxis={**hidden, "range": [0, width], "constrain": "domain"},
        # A square in a box of any width.
        yaxis={**hidden, "range": [height, 0], "scaleanchor": "x", "constrain": "domain"},
        shapes=frames,
        width=SIDE,
        height=SIDE + 34,
        margin={"l": 0, "r": 0, "t": 34, "b": 0},
        overwrite=True,
    )
    whole = (left, top, right, bottom) == (0, 0, width, height)
    field_words = "the whole input" if whole else f"{right - left}×{bottom - top} pixels"
    finding = f"{plain(name)}: {value:.3g}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Solid: the place of the activation. Dashed: its receptive field, {field_words}.",
        alt=f"{finding}, at row {row} and column {column} of the map; its receptive field is {field_words}",
    )


def _frame(box: tuple[float, float, float, float], colour: str, width: int, dash: str = "solid") -> dict[str, object]:
    corners = {"x0": box[0], "y0": box[1], "x1": box[2], "y1": box[3]}
    return {"type": "rect", **corners, "line": {"color": colour, "width": width, "dash": dash}}
