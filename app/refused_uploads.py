"""Sentences for refused uploads: Streamlit's widget writes only the status code of the server's response, or less."""

import json

import streamlit as st

from app.embedded import WITHHELD
from app.middleware.slow_bodies import TOO_SLOW
from app.middleware.upload_route import FULL, OFTEN, UNKNOWN
from app.settings import settings

# What Streamlit writes contains the first of these, and is replaced by the sentence.
SENTENCES = {
    "status code 400": UNKNOWN.strip(),
    "status code 403": WITHHELD,
    "status code 408": TOO_SLOW,
    "status code 413": "This file is larger than the server accepts. Choose a smaller one.",
    "status code 429": f"{OFTEN} Wait a minute, then choose the file again.",
    "status code 503": FULL,
    "status code": "The server did not take the file. Choose it again in a minute.",
    "Network Error": "The connection ended before the file was uploaded. Check the connection, then choose the file again.",
    "files are not allowed": "Files of this kind are not accepted here. Choose another file.",
}

# The style sheet gives the text of a refused file an animation, whose start tells that there is a new one.
SCRIPT = """<script>
if (!window.refusedUploads) {
  window.refusedUploads = %s;
  addEventListener("animationstart", ({ animationName, target }) => {
    if (animationName !== "refused-upload") return;
    const text = target.lastChild;
    const found = Object.entries(window.refusedUploads).find(([part]) => text.data.includes(part));
    if (found) text.data = found[1];
  });
}
</script>"""


def explain() -> None:
    """Replace what Streamlit writes about a refused file by a sentence that says why it was refused and what to do."""
    most = settings().offered_mb(st.get_option("server.maxUploadSize"))
    # Streamlit rounds a limit of half a gigabyte, so that a file over the limit seems to be within it.
    rounded = {"GB or smaller": f"This file is larger than {most} MB. Choose a smaller one."}
    with st.container(key="refused-uploads"):
        st.html(SCRIPT % json.dumps(SENTENCES | rounded), unsafe_allow_javascript=True)
