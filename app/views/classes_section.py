"""Which classes a network knows, and a hint where perhaps none of them fits."""

import html

import streamlit as st

import resnet_viz as rv
from app import show

# Below this probability of the best class the page says that perhaps none fits. It is no test: of photos that show none of its
# classes, a CIFAR-10 network gives about half a higher one.
UNSURE = 0.7
FIRST = 3


def classes(result: rv.Inspection) -> None:
    """Every class that the network can answer with, folded."""
    labels = [prediction.label for prediction in sorted(result.predictions, key=lambda each: each.index)]
    first = ", ".join([*labels[:FIRST], *(["…"] if len(labels) > FIRST else [])])
    summary = f"{len(labels):,} {'classes' if len(labels) > 1 else 'class'}: {first}"
    every = html.escape(", ".join(labels))
    st.html(f"<details class='classes'><summary>{html.escape(summary)}</summary><p>{every}</p></details>")


def hint(result: rv.Inspection) -> None:
    """Say that perhaps nothing fits, and by which rule; nothing where weights are random or there is one class alone."""
    best = result.predictions[0]
    if not result.weights.trained or len(result.predictions) == 1 or best.probability >= UNSURE:
        return
    text = (
        f"Perhaps none of the {len(result.predictions):,} classes fits: the best one has only {100 * best.probability:.0f} %."
        f" This hint appears below {100 * UNSURE:.0f} %; a higher probability is no proof that a class fits."
    )
    st.info(show.escape(text), icon=":material/help:")
