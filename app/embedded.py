"""The app inside a page of another site: browsers withhold its cookies there, and uploads need one against forged requests."""

import streamlit as st

from app.settings import XSRF_COOKIE

WITHHELD = (
    "Files cannot be uploaded here: your browser does not send this server's cookies, because the app is shown inside "
    "another site or because cookies are blocked. Open the app in a new tab and upload your file there."
)


def takes_uploads() -> bool:
    """Whether an upload from this page can succeed; if not, say why, and offer a way out."""
    from_browser = "User-Agent" in st.context.headers
    if not from_browser or not st.get_option("server.enableXsrfProtection") or XSRF_COOKIE in st.context.cookies:
        return True
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(WITHHELD, icon=":material/open_in_new:")
        st.link_button("Open the app in a new tab", st.context.url or "/")
    return False
