"""Code that opens your own network in the app from Python."""

import streamlit as st

CODE = """import resnet_viz as rv

rv.show(my_network)  # any torch.nn.Module with residual additions; returns the app's address"""
WITH_LABELS = """net = rv.from_module(my_network, labels=["cat", "dog"], preprocessing=rv.Preprocessing(256, 224, mean, std))
rv.show(net)"""
ANY_OF_TIMM = """rv.show(rv.load("timm/resnet50d.ra2_in1k"))  # the name of any timm network"""


def section() -> None:
    """The code, folded at first."""
    with st.expander("Open your own network from Python", icon=":material/code:"):
        st.caption(
            "In a notebook or a script, this code starts the app on your network. The blocks are found in its graph,"
            " whatever its class. The module stays in your program and is not changed."
        )
        st.code(CODE, language="python")
        st.caption(
            "Without labels, the classes are numbered. Without preprocessing, images are cropped to 224 pixels and normalised"
            " with ImageNet's mean and standard deviation. To set both:"
        )
        st.code(WITH_LABELS, language="python")
        st.caption("Networks of timm can be opened by name, in Python and with `?model=timm/...` in the address of this app:")
        st.code(ANY_OF_TIMM, language="python")
