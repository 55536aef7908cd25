"""An OpenID Connect provider on loopback that lets everyone in as Ada, for the test of signing in."""

from __future__ import annotations

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "weightscope"


class OidcProvider:
    """Discovery, authorisation that asks nobody, tokens, keys.

    Attributes: endpoint: its address. visits: authorisations so far.
    """

    def __init__(self) -> None:
        self._key = RSAKey.generate_key(2048, {"kid": "test", "use": "sig", "alg": "RS256"})
        self._nonces: dict[str, str] = {}
        self.visits = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def secrets(self, app: str) -> str:
        """The `[auth]` section for an app at that address."""
        return (
            f'[auth]\nredirect_uri = "{app}/oauth2callback"\ncookie_secret = "{secrets.token_hex(32)}"\n'
            f'client_id = "{CLIENT}"\nclient_secret = "secret"\n'
            f'server_metadata_url = "{self.endpoint}/.well-known/openid-configuration"\n'
        )

    def _discovery(self) -> dict:
        return {
            "issuer": self.endpoint,
            "authorization_endpoint": f"{self.endpoint}/authorize",
            "token_endpoint": f"{self.endpoint}/token",
            "jwks_uri": f"{self.endpoint}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _authorise(self, query: dict[str, str]) -> str:
        """Where the browser is sent: back to the app, with a code."""
        self.visits += 1
        code = secrets.token_hex(8)
        self._nonces[code] = query.get("nonce", "")
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def _token(self, code: str) -> dict:
        now = int(time.time())
        claims = {"iss": self.endpoint, "aud": CLIENT, "sub": "1", "name": "Ada", "email": "ada@example.com"}
        claims |= {"iat": now, "exp": now + 3600, "nonce": self._nonces.pop(code)}
        token = jwt.encode({"alg": "RS256", "kid": "test"}, claims, self._key)
        return {"access_token": "access", "token_type": "Bearer", "expires_in": 3600, "id_token": token}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/authorize":
                    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                    self.send_response(302)
                    self.send_header("Location", provider._authorise(query))
                    self.end_headers()
                elif parts.path == "/keys":
                    self._json({"keys": [provider._key.as_dict(private=False)]})
                else:
                    self._json(provider._discovery())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._json(provider._token(parse_qs(body)["code"][0]))

            def _json(self, value: dict) -> None:
                data = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_arguments) -> None:
                """Be quiet."""

        return Handler
