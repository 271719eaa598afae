"""An introduction for first-time visitors: what the first page shows, in four steps, and a link to the lessons."""

import streamlit as st

# The parts of the page, and what each shows.
STEPS = {
    "The photo": "It is the image that you chose. The frame marks the part that the network sees. Next to it are the predicted"
    " classes.",
    "The block map": "It shows the whole network; read it from left to right. The straight line is the identity path, which"
    " passes on the input x of a block unchanged. Each arc is a residual branch, which computes a correction F(x).",
    "The equation": "It shows how one block computes its output: the identity x plus the residual F(x) is the sum, and the ReLU"
    " turns the sum into the output. Red is positive, blue is negative, white is 0.",
    "Play": "It sends the signal through all blocks, one after another. The lines under the map show what the network would"
    " predict if it stopped after each block.",
}


def introduction() -> None:
    """A button that opens the four steps."""
    with st.popover("What am I looking at?", icon=":material/help:", key="introduction"):
        st.markdown("\n".join(f"{number}. **{part}.** {step}" for number, (part, step) in enumerate(STEPS.items(), 1)))
        st.page_link(
            st.session_state["pages"]["Learn"],
            label="Learn it step by step, in short lessons",
            icon=":material/school:",
        )
