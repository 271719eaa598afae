"""Simulated people who visit the app without a browser: they open links, upload files, and read the messages."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.Common_pb2 import FileUploaderState, FileURLs, FileURLsRequest, UploadedFileInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

XSRF = "_streamlit_xsrf"
BOUNDARY = "a-boundary"
LONGEST = 120.0


@dataclass(frozen=True)
class View:
    """What a page sent: its `sentences` of warning and error, the upload boxes by their labels, and the link that it set.

    `broken` means that it is an error page, or no page at all; `seconds` is the response time.
    """

    sentences: tuple[str, ...]
    boxes: dict[str, str]
    link: str
    broken: bool
    seconds: float


@dataclass
class Visitor:
    """A session of the app; use `visitor` to have one."""

    port: int
    connection: ClientConnection
    cookie: str
    session: str = ""
    link: str = ""
    page: str = ""
    boxes: dict[str, str] = field(default_factory=dict)

    def open(self, page: str = "", link: str = "") -> View:
        """Open a page."""
        self.page, self.link = page, link
        return self._rerun(WidgetStates())

    def upload(self, name: str, data: bytes) -> View:
        """Send a file to the page's first upload box, and wait for the page's message; `seconds` count from its arrival."""
        urls = self._urls(name)
        status = self._put(urls.upload_url, name, data)
        if status != 204:
            return View((f"refused with status {status}",), {}, self.link, broken=status >= 500 and status != 503, seconds=0)
        file = UploadedFileInfo(file_id=urls.file_id, name=name, size=len(data), file_urls=urls)
        state = WidgetState(
            id=next(iter(self.boxes.values())), file_uploader_state_value=FileUploaderState(uploaded_file_info=[file])
        )
        return self._rerun(WidgetStates(widgets=[state]))

    def _rerun(self, states: WidgetStates) -> View:
        asked = ClientState(query_string=self.link, page_name=self.page, widget_states=states)
        self.connection.send(BackMsg(rerun_script=asked).SerializeToString())
        started = time.monotonic()
        messages: list[ForwardMsg] = []
        try:
            while not messages or not _has_ended(messages[-1]):
                messages.append(self._receive(LONGEST - (time.monotonic() - started)))
        except (TimeoutError, ConnectionClosed):
            return View((), {}, self.link, broken=True, seconds=time.monotonic() - started)
        view = _view(messages, self.link, time.monotonic() - started)
        self.boxes, self.link = view.boxes, view.link
        for message in messages:
            if message.WhichOneof("type") == "new_session":
                self.session = message.new_session.initialize.session_id
        return view

    def _urls(self, name: str) -> FileURLs:
        asked = FileURLsRequest(request_id="one", file_names=[name], session_id=self.session)
        self.connection.send(BackMsg(file_urls_request=asked).SerializeToString())
        while True:
            message = self._receive(LONGEST)
            if message.WhichOneof("type") == "file_urls_response":
                urls: FileURLs = message.file_urls_response.file_urls[0]
                return urls

    def _receive(self, seconds: float) -> ForwardMsg:
        data = self.connection.recv(max(0.1, seconds))
        if not isinstance(data, bytes):
            raise TypeError("Streamlit sends bytes")
        message: ForwardMsg = ForwardMsg.FromString(data)
        return message

    def _put(self, address: str, name: str, data: bytes) -> int:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        headers = {
            "Cookie": f"{XSRF}={self.cookie}",
            "X-Xsrftoken": self.cookie,
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        }
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST)
        try:
            client.request("PUT", address, head + data + f"\r\n--{BOUNDARY}--\r\n".encode(), headers)
            answer = client.getresponse()
            answer.read()
            return answer.status
        finally:
            client.close()


@contextmanager
def visitor(port: int) -> Iterator[Visitor]:
    """A new person, with a cookie as in a browser."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST)
    client.request("GET", "/_stcore/health")
    answer = client.getresponse()
    answer.read()
    cookie = (answer.headers["set-cookie"] or f"{XSRF}={uuid4().hex}").split(";")[0].partition("=")[2]
    client.close()
    address, headers = f"ws://127.0.0.1:{port}/_stcore/stream", {"Cookie": f"{XSRF}={cookie}"}
    with connect(address, subprotocols=[Subprotocol("streamlit")], max_size=None, additional_headers=headers) as connection:
        yield Visitor(port, connection, cookie)


def _has_ended(message: ForwardMsg) -> bool:
    """Whether a script has ended that is not followed by another run of its own."""
    ends = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_WITH_COMPILE_ERROR)
    return message.WhichOneof("type") == "script_finished" and message.script_finished in ends


def _view(messages: list[ForwardMsg], link: str, seconds: float) -> View:
    sentences, boxes, broken = [], {}, False
    for message in messages:
        kind = message.WhichOneof("type")
        if kind == "page_info_changed":
            link = message.page_info_changed.query_string
        if kind != "delta":
            continue
        element = message.delta.new_element
        what = element.WhichOneof("type")
        if what == "alert" and element.alert.format in (Alert.WARNING, Alert.ERROR):
            sentences.append(element.alert.body)
        elif what == "file_uploader":
            boxes[element.file_uploader.label] = element.file_uploader.id
        broken |= what == "exception" or "An unexpected error occurred" in (element.alert.body if what == "alert" else "")
    return View(tuple(sentences), boxes, link, broken, seconds)
