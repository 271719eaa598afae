"""Play: the path of the signal through the network, on the first page and in lessons."""

from collections.abc import Callable
from typing import cast

import numpy as np
import streamlit as st

import resnet_viz as rv
from app import results, waiting
from app.catalogue import Subject
from app.components.player import Scene, ShownTerm, Stop, film, player
from app.components.spots import Spot
from resnet_viz.analyses.logit_lens import Lens
from resnet_viz.analyses.passage import BlockPassage, Passage
from resnet_viz.figures.block.block_equation import TERM_COLOURS, term_name, terms_of
from resnet_viz.figures.block.block_map import BlockFrame, block_frames
from resnet_viz.figures.block.equation_words import signed
from resnet_viz.figures.theme import PLAIN, short, signed_palette

WANTED = "film_wanted"
DECODED = 3
OPERATORS = {"residual": "+", "sum": "="}


def play(
    subject: Subject, image: str, result: rv.Inspection, opened: str, on_open: Callable[[str], None], chart: str, hides: str
) -> None:
    """Show the player under the block map with the key `chart`; `on_open` is called with the block at which the user stopped.

    `hides` is the container that the stage of the player replaces while it is open.
    """
    identity = results.identity(subject, image)
    player(
        identity,
        [stop(block, at) for block, at in zip(result.blocks, block_frames(result), strict=True)],
        opened,
        on_wanted=lambda: st.session_state.update({WANTED: identity}),
        on_open=on_open,
        hides=hides,
        chart=chart,
    )
    if st.session_state.get(WANTED) == identity:
        passed = cast("Passage", waiting.answer(subject, "block", "passage", image, None, "passage"))
        decoded = lens_of(subject, image)
        film(
            identity,
            [scene(block, _decoded(decoded, number)) for number, block in enumerate(passed.blocks, 1)],
            signed_palette(),
        )


def lens_of(subject: Subject, image: str) -> Lens | None:
    """The classes decoded after each block; None if the network cannot be decoded in this way."""
    try:
        return cast("Lens", waiting.attempt(subject, "block", "lens", image, "lens"))
    except waiting.SENTENCES:
        return None


def spots_of(result: rv.Inspection) -> list[Spot]:
    """The blocks on the block map as places, from left to right."""
    return [Spot(at.name, f"Open block {short(at.name)}", at.x0, at.x1, at.y0, at.y1) for at in block_frames(result)]


def scene(block: BlockPassage, decoded: tuple[tuple[str, float], ...]) -> Scene:
    """What the stage shows at a block: the images of its equation on their common scale."""
    terms = (
        (block.residual, block.output) if block.identity is None else (block.identity, block.residual, block.sum, block.output)
    )
    return Scene(terms, max(float(np.abs(picture).max()) for picture in terms) or 1.0, decoded)


def stop(block: rv.BlockInspection, at: BlockFrame) -> Stop:
    """A block on the way of the signal: its terms, its numbers, and its arc on the map."""
    plain = block.shortcut == "none"
    activation = f"→ {block.activation} →" if block.activation else "="
    terms = tuple(
        ShownTerm(
            term_name(block, term),
            PLAIN if plain else TERM_COLOURS[term],
            "" if place == 0 else activation if term == "output" else OPERATORS[term],
        )
        for place, term in enumerate(terms_of(block))
    )
    m = block.measures
    numbers = [("shape", "×".join(map(str, block.shape))), ("|F|", f"{m.residual_norm:.4g}")]
    if not plain:
        numbers.insert(1, ("|x|", f"{m.identity_norm:.4g}"))
        numbers += [("|x + F|", f"{m.sum_norm:.4g}"), ("|F| / |x|", f"{m.ratio:.3f}"), ("cos(x, F)", signed(m.cosine))]
    # Not every activation sets values to 0.
    if not np.isnan(m.cut):
        numbers.append((f"{block.activation} zeroes", f"{100 * m.cut:.0f}%"))
    return Stop(block.name, short(block.name), terms, tuple(numbers), at.start, at.end, at.line, at.top)


def _decoded(decoded: Lens | None, place: int) -> tuple[tuple[str, float], ...]:
    if decoded is None:
        return ()
    shares = decoded.probabilities[place]
    best = np.argsort(-shares, kind="stable")[:DECODED]
    return tuple((decoded.labels[index], float(shares[index])) for index in best)
