"""A chart is made once and is what its figure was; Streamlit sends it as it would send the figure."""

import json

import plotly.graph_objects as go
import plotly.io
import plotly.tools
import pytest

from app.charts import Chart, Charts, Drawn
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.figures.block.block_map import block_map
from resnet_viz.figures.block.predictions import predictions
from resnet_viz.figures.theme import IDENTITY, LIGHT, RESIDUAL, SUM, finish
from resnet_viz.figures.without_legend import without_legend


def figure(label: str = "a", title: str = "") -> go.Figure:
    made = go.Figure(go.Bar(y=[1.0, 2.0]))
    notes = [{"text": title, "yref": "paper", "y": 1.0}] if title else []
    made.update_layout(width=300, height=200, margin={"t": 50}, annotations=notes)
    return finish(made, LIGHT, finding=f"{label} is largest", how_to_read="Bars.", alt=f"Bars of {label}.")


def test_the_title_leaves_the_chart_and_its_room_with_it() -> None:
    chart = Chart.of(figure())
    layout = chart.drawn.to_dict()["layout"]
    assert (chart.finding, chart.how_to_read, chart.alt) == ("a is largest", "Bars.", "Bars of a.")
    assert (chart.natural, chart.height, chart.focus) == (300, 154, None)
    assert layout["margin"]["t"] == 4
    assert layout["height"] == 154
    assert not layout.get("title", {}).get("text")


@pytest.mark.parametrize(("title", "top"), [("one line", 30), ("two<br>lines", 46)])
def test_titles_above_panels_keep_their_room(title: str, top: int) -> None:
    assert Chart.of(figure(title=title)).drawn.to_dict()["layout"]["margin"]["t"] == top


def test_a_legend_that_stays_in_view_has_what_the_figure_had(residual: Inspection) -> None:
    figure, chart = block_map(residual), Chart.of(without_legend(block_map(residual)))
    assert chart.drawn.to_dict()["layout"]["showlegend"] is False
    assert [entry["name"] for entry in chart.legend] == [trace.name for trace in figure.data[:-1]]
    assert [entry["colour"] for entry in chart.legend] == [IDENTITY, RESIDUAL, IDENTITY, SUM]
    assert [entry["dash"] for entry in chart.legend] == ["solid", "solid", "dot", "solid"]
    assert chart.height == Chart.of(figure).height - figure.layout.margin.b
    assert Chart.of(block_map(residual)).legend == ()


def test_what_is_sent_is_what_the_figure_says(residual: Inspection) -> None:
    for make in (block_map, predictions):
        made = make(residual)
        chart = Chart.of(make(residual))
        # As st.plotly_chart turns a figure into the text that it sends.
        sent = json.loads(
            plotly.io.to_json(plotly.tools.return_figure_from_figure_or_data(chart.drawn, validate_figure=True), validate=False)
        )
        whole = json.loads(made.to_json())
        assert sent["data"] == whole["data"]
        assert sent["layout"]["xaxis"] == whole["layout"]["xaxis"]
        assert sent["layout"].get("shapes") == whole["layout"].get("shapes")
        assert chart.alt == made.layout.meta["alt"]


def test_a_figure_that_is_ready_is_nothing_else() -> None:
    ready = Drawn({"data": [], "layout": {}}, 2)
    with pytest.raises(AttributeError):
        _ = ready.layout_to_be


def test_a_chart_is_made_once_for_everybody_and_an_owners_own_is_forgotten() -> None:
    charts, made = Charts(), []

    def make() -> go.Figure:
        made.append(1)
        return figure()

    first = charts.get("key", make)
    assert charts.get("key", make) is first
    assert len(made) == 1
    charts.get("mine", make, "anna")
    charts.forget("anna")
    charts.get("mine", make, "anna")
    assert len(made) == 3
    assert charts.get("key", make) is first
