"""The architecture of a network: one row for the stem, each block and the head, with shapes and costs."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

import resnet_viz as rv
from app import show
from resnet_viz.figures.theme import short
from resnet_viz.nets.architecture import Part
from resnet_viz.reporting.pieces import file_name

ROW_PIXELS, MOST_ROWS = 35, 20


def section(info: rv.ModelInfo, parts: Sequence[Part]) -> None:
    """The table, with the cost of the blocks as its heading."""
    costs = sorted(part.multiply_adds / 1e6 for part in parts if part.stage is not None)
    spread = f"{costs[0]:,.2f} to {costs[-1]:,.2f}" if costs[0] < costs[-1] else f"{costs[0]:,.2f}"
    size = parts[0].input[-1]
    st.markdown(f"### {show.escape(f'Each of the {len(costs)} blocks costs {spread} million multiply-adds')}")
    st.caption(
        show.escape(
            f"{info.title} from input to output, for one image of {size}×{size} pixels. Batch norms and projections are "
            f"included in their block. Multiply-adds are half of torch's count, which counts each multiplication and each "
            f"addition."
        )
    )
    table = parts_table(parts)
    most = max(part.multiply_adds for part in parts)
    st.dataframe(
        table,
        hide_index=True,
        height=ROW_PIXELS * (min(len(table), MOST_ROWS) + 1) + 3,
        column_config={
            "part": st.column_config.TextColumn("part", pinned=True, width="small"),
            "layers": st.column_config.TextColumn(
                "layers", help="Kernel size and output channels of each convolution, in order.", width="medium"
            ),
            "shortcut": st.column_config.TextColumn("shortcut", help="How the block's input reaches the sum."),
            "parameters": st.column_config.NumberColumn("parameters", format="localized"),
            "multiply-adds": st.column_config.ProgressColumn(
                "multiply-adds", format="localized", min_value=0, max_value=most, help="For one image."
            ),
        },
        alt=f"Table of the {len(table)} parts of {info.title}",
        key="architecture",
    )
    st.download_button("Download CSV", table.to_csv(index=False), f"{file_name(info.name)}-parts.csv", "text/csv")


def parts_table(parts: Sequence[Part]) -> pd.DataFrame:
    """One row per part, first to last."""
    return pd.DataFrame([_row(part) for part in parts])


def _row(part: Part) -> dict[str, str | int]:
    return {
        "part": short(part.name),
        "layers": part.layers,
        "shortcut": part.shortcut or "",
        "input C×H×W": _shape(part.input),
        "output C×H×W": _shape(part.output),
        "parameters": part.parameters,
        "multiply-adds": part.multiply_adds,
    }


def _shape(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes))
