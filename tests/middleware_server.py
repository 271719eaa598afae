"""The real app with its own settings, and a session of it without a browser."""

import http.client
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.Common_pb2 import FileURLsRequest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests import servers
from tests.servers import app_command, free_port, log_of

BOUNDARY = "a-boundary"


@dataclass(frozen=True)
class Answer:
    """The server's response to a request."""

    status: int
    text: str
    headers: http.client.HTTPMessage


@dataclass(frozen=True)
class Session:
    """A person's session; `connection` is the connection that its page keeps open."""

    id: str
    connection: ClientConnection

    def upload_address(self) -> str:
        """Ask for the upload address of the next file, as a page does."""
        asked = FileURLsRequest(request_id="one", file_names=["cat.jpg"], session_id=self.id)
        self.connection.send(BackMsg(file_urls_request=asked).SerializeToString())
        while True:
            received = self.connection.recv(60)
            assert isinstance(received, bytes)
            message = ForwardMsg.FromString(received)
            if message.WhichOneof("type") == "file_urls_response":
                address: str = message.file_urls_response.file_urls[0].upload_url
                return address


@dataclass(frozen=True)
class Server:
    """A running app; `pid` is its process, `log` its output, `cookie` the cookie of requests."""

    port: int
    pid: int
    log: Path
    cookie: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; an iterable body is sent in chunks and without its length."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            given = {"Cookie": self.cookie} | dict(headers or {})
            connection.request(method, path, body, given, encode_chunked=not isinstance(body, bytes | None))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(), answer.headers)
        finally:
            connection.close()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A person's session as a browser opens one."""
        address = f"ws://127.0.0.1:{self.port}/_stcore/stream"
        cookie = {"Cookie": self.cookie}
        with connect(address, subprotocols=[Subprotocol("streamlit")], max_size=None, additional_headers=cookie) as socket_:
            socket_.send(BackMsg(rerun_script=ClientState()).SerializeToString())
            while True:
                received = socket_.recv(60)
                assert isinstance(received, bytes)
                message = ForwardMsg.FromString(received)
                if message.WhichOneof("type") == "new_session":
                    yield Session(message.new_session.initialize.session_id, socket_)
                    return

    def visit(self, page: str, query: str) -> list[ForwardMsg]:
        """Open a link in a new session, as a browser does; returns what the page sends until its script has ended."""
        address = f"ws://127.0.0.1:{self.port}/_stcore/stream"
        cookie = {"Cookie": self.cookie}
        received: list[ForwardMsg] = []
        with connect(address, subprotocols=[Subprotocol("streamlit")], max_size=None, additional_headers=cookie) as socket_:
            state = ClientState(query_string=query, page_name=page)
            socket_.send(BackMsg(rerun_script=state).SerializeToString())
            while not received or received[-1].WhichOneof("type") != "script_finished":
                message = socket_.recv(60)
                assert isinstance(message, bytes)
                received.append(ForwardMsg.FromString(message))
        return received

    def upload(self, to: Session | str, parts: bytes | Iterable[bytes], headers: Mapping[str, str] | None = None) -> Answer:
        """Send a form to an upload address, or to a new one of a session, with the token against forged requests."""
        address = to if isinstance(to, str) else to.upload_address()
        cookie = self.ask("/_stcore/health").headers["set-cookie"].split(";")[0]
        usual = {
            "Cookie": f"{self.cookie}; {cookie}",
            "X-Xsrftoken": cookie.partition("=")[2],
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        }
        return self.ask(address, "PUT", parts, usual | dict(headers or {}))


def form(content: Iterable[bytes], file: str = "cat.jpg") -> Iterator[bytes]:
    """The parts of a form with one file."""
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file}"\r\n\r\n'.encode()
    yield from content
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


@contextmanager
def running(
    environment: Mapping[str, str] | None = None, *flags: str, port: int | None = None, name: str = "doors"
) -> Iterator[Server]:
    """Start the app by its real command, and stop it at the end."""
    port = port or free_port()
    with servers.running(app_command(port, *flags), f"http://127.0.0.1:{port}/ready", name, environment) as process:
        yield Server(port, process.pid, log_of(name))
