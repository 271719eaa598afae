"""A button that copies the address of the page, also where the browser keeps the clipboard from pages without encryption."""

from app.components.mounting import component

_mount = component("copy_link")


def copy_link(key: str) -> None:
    """Show the button; the browser knows the address better than the server, which may stand behind a proxy."""
    _mount(
        key=key, data={"label": "Copy link", "done": "Link copied", "failed": "Press Ctrl+C to copy the link"}, height="content"
    )
