"""For whoever sees the first page for the first time: what there is on it, in four steps, and the way to the lessons."""

import streamlit as st

# The parts of the page by their names, and what each shows.
STEPS = {
    "The photo": "It is what you chose; the square in its frame is what the network sees. Beside it are the classes that the"
    " network predicts.",
    "The block map": "It is the whole network, read from left to right. The straight line is the identity path, on which a"
    " block's input x is handed on unchanged. Each arc is a residual branch, which computes a correction F(x).",
    "The equation": "It shows one block at work: the identity x plus the residual F(x) is the sum, and the ReLU makes the"
    " output of it. Red is above 0, blue is below, white is 0.",
    "Play": "It sends the signal through all blocks, one after the other. The lines under the map say what the network would"
    " predict if it stopped after each block.",
}


def introduction() -> None:
    """A button that opens the four steps."""
    with st.popover("What am I looking at?", icon=":material/help:", key="introduction"):
        st.markdown("\n".join(f"{number}. **{part}.** {step}" for number, (part, step) in enumerate(STEPS.items(), 1)))
        st.page_link(
            st.session_state["pages"]["Learn"], label="Learn it step by step, in 17 short lessons", icon=":material/school:"
        )
