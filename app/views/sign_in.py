"""Signing in through Streamlit's own OIDC, if `[auth]` in secrets.toml configures it: signing in and signing out."""

from pathlib import Path

import streamlit as st

from app import show
from app.settings import settings

APP = Path(__file__).parents[1]


def is_closed() -> bool:
    """Whether this person has to sign in first; never if sign-in is not configured."""
    return is_set_up() and not (st.user.is_logged_in and is_invited(_email(), settings().sign_in_emails))


def is_set_up() -> bool:
    """Whether secrets.toml has a section `[auth]`."""
    return "is_logged_in" in st.user


def is_invited(email: str, emails: tuple[str, ...]) -> bool:
    """Whether an address is on the list, by itself or by its domain; everybody is if there is no list."""
    address = email.lower()
    return not emails or any(address == entry or (entry[:1] == "@" and address.endswith(entry)) for entry in emails)


def page() -> None:
    """The sign-in page."""
    st.html(Path(__file__).with_suffix(".css"))
    with st.container(key=f"door-{show.theme().name}"):
        st.image(
            APP / "middleware" / "block.svg",
            width=147,
            alt="A residual block: the identity path, and the arc that is added to it",
        )
        show.product("What does each residual block do with an image?")
        if st.user.is_logged_in:
            st.warning(
                f"{show.escape(_email() or 'This account')} does not have access to this server. Ask its administrator for "
                f"access, or sign in with another account.",
                icon=":material/lock:",
            )
            st.button("Sign out", on_click=st.logout, width="stretch")
        else:
            st.button("Sign in", type="primary", on_click=st.login, width="stretch")
            st.caption("This server requires you to sign in. After that, you return to this view.")


def way_out() -> None:
    """Who is signed in, and the sign-out button."""
    with st.container(horizontal=True, vertical_alignment="center", key="way-out"):
        st.caption(f"Signed in as {show.escape(_email() or 'a guest')}")
        st.button("Sign out", on_click=st.logout, type="tertiary")


def _email() -> str:
    """The verified email address; empty if the provider says that it is not verified."""
    claims = st.user.to_dict()
    return str(claims.get("email") or "") if claims.get("email_verified", True) is True else ""
