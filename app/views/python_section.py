"""How a network of one's own comes into the app from Python, in lines to copy."""

import streamlit as st

CODE = """import resnet_viz as rv

rv.show(my_network)  # any torch.nn.Module with residual additions; returns the app's address"""
WITH_LABELS = """net = rv.from_module(my_network, labels=["cat", "dog"], preprocessing=rv.Preprocessing(256, 224, mean, std))
rv.show(net)"""
ANY_OF_TIMM = """rv.show(rv.load("timm/resnet50d.ra2_in1k"))  # any name of timm"""


def section() -> None:
    """The lines, closed at first."""
    with st.expander("Open a network of your own from Python", icon=":material/code:"):
        st.caption(
            "In a notebook or a script, this starts the app on your network. Its blocks are found in its graph, whatever"
            " its class; the module stays in your program, as it is."
        )
        st.code(CODE, language="python")
        st.caption(
            "Without labels the classes are numbered, and without preprocessing images are cropped to 224 pixels and normalized"
            " with ImageNet's mean and standard deviation. With your own:"
        )
        st.code(WITH_LABELS, language="python")
        st.caption("Networks of timm open by their names, in Python and as `?model=timm/...` in the address of this app:")
        st.code(ANY_OF_TIMM, language="python")
