"""The classes of a network, and a hint if perhaps none of them fits."""

import html

import streamlit as st

import resnet_viz as rv
from app import show

# Below this probability of the best class, the page says that perhaps no class fits. This is not a test: of the sample photos
# without any of its classes, the default network gives five of twelve a higher one. Of the validation photos, 16% of those that
# it predicts right have a lower one, and 81% of the others.
UNSURE = 0.6
FIRST = 3


def classes(result: rv.Inspection) -> None:
    """Every class of the network, in a folded list."""
    labels = [prediction.label for prediction in sorted(result.predictions, key=lambda each: each.index)]
    first = ", ".join([*labels[:FIRST], *(["…"] if len(labels) > FIRST else [])])
    summary = f"{len(labels):,} {'classes' if len(labels) > 1 else 'class'}: {first}"
    every = html.escape(", ".join(labels))
    st.html(f"<details class='classes'><summary>{html.escape(summary)}</summary><p>{every}</p></details>")


def hint(result: rv.Inspection) -> None:
    """Say that perhaps no class fits, and by which rule; nothing with random weights or a single class."""
    best = result.predictions[0]
    if not result.weights.trained or len(result.predictions) == 1 or best.probability >= UNSURE:
        return
    text = (
        f"Perhaps none of the {len(result.predictions):,} classes fits this image: the most probable one has only "
        f"{100 * best.probability:.0f}%."
        f" This hint appears below {100 * UNSURE:.0f}%; a higher probability does not prove that a class fits."
    )
    with st.container(key="class-hint"):
        st.info(show.escape(text), icon=":material/help:")
