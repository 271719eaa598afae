"""Take a view away: its link, a QR code of it, a report, the charts' data, and the Python that makes it.

One button at the top of every page that shows results. What stands behind it is made when somebody opens it, and the report
when somebody downloads it, so that a view costs the same as without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode, urlsplit

import segno
import streamlit as st

from app import jobs, show
from app.catalogue import Subject
from app.components.copy_link import copy_link
from app.state import Selection
from app.uploads import MissingImageError
from app.waiting import SENTENCES
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.engine.jobs import JobCancelledError, Ticket
from resnet_viz.reporting.page import Origin, page
from resnet_viz.reporting.pieces import Contents

OWN_MACHINE = ("localhost", "127.0.0.1", "[::1]", "::1")
# The pixels of one module of the code, and the light frame that readers need around it, in modules.
QR_SCALE, QR_BORDER = 3, 4
# The longest link whose code a camera can read from a screen.
MOST_SCANNED = 1000
# Networks of so small an input have small maps: all of their blocks fit into a report.
SMALL_INPUT = 64
MOST_BLOCKS = 8

AskForBlocks = Callable[[Sequence[str]], dict[str, Callable[[], Ticket]]]


@dataclass(frozen=True, eq=False)
class Shared:
    """What a page gives away: its charts with their numbers, and its code.

    Where the report has more than the page, `blocks` are those of a network with the open one first, `small` says that all of
    them fit, `ask` prepares requests for the maps of some, and `complete` describes the page with those.
    """

    contents: Contents
    code: str
    blocks: tuple[str, ...] = ()
    small: bool = False
    ask: AskForBlocks | None = None
    complete: Callable[[dict[str, Inspection]], Contents] | None = field(default=None)


def share(make: Callable[[], Shared | None], key: str = "share") -> None:
    """The button; `make` describes the page when somebody opens it, None while the page has no results."""
    _share(make, key)


@st.fragment
def _share(make: Callable[[], Shared | None], key: str) -> None:
    opened = st.popover("Share this view", icon=":material/ios_share:", key=key, on_change="rerun")
    if opened.open:
        with opened:
            _content(make())


def _content(shared: Shared | None) -> None:
    link = address()
    with st.container(horizontal=True, vertical_alignment="top", key="share-link"):
        if link and len(link) <= MOST_SCANNED:
            st.html(f"<img class='qr-code' src=\"{qr_code(link)}\" alt='QR code of the link to this view'>", width="content")
        with st.container():
            copy_link("copy-link")
            if shared is not None:
                _report(shared, link)
            st.caption(_where_it_opens(link))
    if shared is None:
        st.caption("There is nothing to download yet: the computation of this page has not finished.")
        return
    _data(shared.contents)
    with st.expander("Show the code", icon=":material/code:"):
        st.caption("This Python makes this very view.")
        st.code(shared.code, language="python")


def address() -> str:
    """The address of this view, as the person's browser knows it; empty without a browser."""
    base = st.context.url
    if not base:
        return ""
    # Streamlit leaves the slash of the first page out, and the browser shows it.
    path = base if urlsplit(base).path else f"{base}/"
    parameters = urlencode(st.query_params.to_dict())
    return f"{path}?{parameters}" if parameters else path


def qr_code(link: str) -> str:
    """Draw a QR code as the data URL of an SVG, dark on light in both themes, because many readers need it so."""
    code = segno.make(link, error="m", micro=False)
    url: str = code.svg_data_uri(scale=QR_SCALE, border=QR_BORDER, dark="#11161C", light="#FFFFFF")
    return url


def _where_it_opens(link: str) -> str:
    if urlsplit(link).hostname in OWN_MACHINE:
        return "This address is your own machine's: it opens here and on no other device."
    return "Scan the code to open this view on a phone or a tablet."


def _report(shared: Shared, link: str) -> None:
    asks = _asks(shared)
    origin = Origin(link, shared.code)
    st.download_button(
        "Download report",
        lambda: _written(shared, asks, origin),
        shared.contents.file,
        "text/html",
        key="download-report",
        icon=":material/description:",
        on_click="ignore",
        help="One HTML file that opens anywhere, without a network, and prints.",
    )


def _asks(shared: Shared) -> dict[str, Callable[[], Ticket]]:
    """Requests for the maps of the blocks that the report shows beyond those of the page."""
    if shared.ask is None or not shared.blocks:
        return {}
    opened, *others = shared.blocks
    if shared.small:
        return shared.ask(others)
    chosen = st.multiselect(
        "Blocks with maps in the report",
        shared.blocks,
        [opened],
        max_selections=MOST_BLOCKS,
        # Of another network, nothing chosen stays.
        key=f"report-blocks-{hash(frozenset(shared.blocks))}",
    )
    return shared.ask([name for name in chosen if name != opened])


def _written(shared: Shared, asks: dict[str, Callable[[], Ticket]], origin: Origin) -> bytes:
    """The report, in a thread of its own: nothing in it may ask Streamlit who is there."""
    contents, missing = shared.contents, ""
    if asks and shared.complete is not None:
        found, missing = _answers(asks)
        contents = shared.complete(found)
    notes = (*contents.notes, missing) if missing else contents.notes
    return page(replace(contents, notes=notes), origin).encode()


def _answers(asks: dict[str, Callable[[], Ticket]]) -> tuple[dict[str, Inspection], str]:
    """The answers, up to the first that is not available, and the reason for it."""
    found: dict[str, Inspection] = {}
    for name, ask in asks.items():
        try:
            found[name] = ask().answer()
        except SENTENCES as error:
            return found, f"{_missing(len(asks) - len(found))} {error}"
        except JobCancelledError:
            return found, f"{_missing(len(asks) - len(found))} Their computation was cancelled. Download the report again."
    return found, ""


def _missing(count: int) -> str:
    return f"The maps of {'one block' if count == 1 else f'{count} blocks'} are missing."


def _data(contents: Contents) -> None:
    """A small button for the numbers of each chart."""
    if not contents.pieces:
        return
    st.caption("Data of the charts. For a picture of one, point at it and press the camera.")
    with st.container(horizontal=True, gap="xxsmall", key="chart-data"):
        for piece in contents.pieces:
            st.download_button(
                f"{show.escape(piece.title)} ({piece.kind})",
                piece.data,
                piece.file_name,
                piece.mime,
                key=f"data-{piece.name}",
                type="tertiary",
                icon=":material/download:",
                on_click="ignore",
            )


def block_asks(subject: Subject, chosen: Selection, target: int | None, image: str = "") -> AskForBlocks:
    """Prepare requests for the maps of blocks of one network, to be sent later by a thread without a session."""

    def ask(names: Sequence[str]) -> dict[str, Callable[[], Ticket]]:
        about = image or chosen.image
        try:
            return {name: jobs.prepare(subject, "inspection", about, target, f"report {name}", block=name) for name in names}
        except MissingImageError:
            return {}

    return ask
