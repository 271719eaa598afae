"""Tells the queue of scripts when the last message of a page has left, so that no more pages are computed than can be sent."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from app.turns import TURNS

# A message that ends a page has a few bytes, and others need not be read.
LONGEST_END = 200


class SentPages:
    """Reads the messages that pages send over their WebSockets: which session each belongs to, and where a page ends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything unchanged."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        session = ""

        async def pass_on(message: Message) -> None:
            nonlocal session
            await send(message)
            data = message.get("bytes")
            if data and (not session or len(data) <= LONGEST_END):
                sent = ForwardMsg.FromString(data)
                if sent.HasField("new_session"):
                    session = sent.new_session.initialize.session_id
                    TURNS.connected(session)
                elif sent.HasField("script_finished") and session:
                    TURNS.sent(session)

        try:
            await self._app(scope, receive, pass_on)
        finally:
            TURNS.gone(session)
