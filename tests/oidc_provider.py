"""A sign-in provider on this machine that speaks OpenID Connect: discovery, authorize, token and keys, with signed tokens."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "resnet-viz"


@dataclass
class Provider:
    """The provider; every visitor is `email`. `tampered` makes it sign with an unknown key."""

    url: str
    email: str = "anna@school.example"
    tampered: bool = False
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}))
    nonces: dict[str, str] = field(default_factory=dict)

    def discovery(self) -> dict[str, object]:
        """The provider's own description."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def tokens(self, code: str) -> dict[str, object]:
        """Tokens for a code that `authorize` gave."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "1",
            "email": self.email,
            "email_verified": True,
            "nonce": self.nonces[code],
        }
        key = RSAKey.generate_key(2048, {"kid": "one"}) if self.tampered else self.key
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims | {"iat": now, "exp": now + 600}, key)
        return {"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 600, "id_token": token}


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Run a provider on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/.well-known/openid-configuration":
                self._say(provider.discovery())
            elif parts.path == "/keys":
                self._say({"keys": [provider.key.as_dict(private=False)]})
            else:
                asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                code = f"code-{len(provider.nonces)}"
                provider.nonces[code] = asked.get("nonce", "")
                self.send_response(302)
                self.send_header("Location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")
                self.end_headers()

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._say(provider.tokens(form["code"][0]))

        def log_message(self, *_: object) -> None:
            """Log nothing."""

        def _say(self, content: dict[str, object]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()


def secrets(provider: Provider, port: int) -> str:
    """The section of secrets.toml that configures sign-in."""
    return (
        f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\ncookie_secret = "a secret of this test alone"\n'
        f'client_id = "{CLIENT}"\nclient_secret = "shared"\n'
        f'server_metadata_url = "{provider.url}/.well-known/openid-configuration"\n'
    )
