"""Public keys of an authorization server: fetched rarely, within bounds, from where they are published."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError

from codewords_mcp.http.middleware.issuer_keys import MAX_DOCUMENT_BYTES, IssuerKeys

pytestmark = pytest.mark.requirement("access:tokens")


class Issuer:
    """Serves `documents` by path. `requests` are the paths that were asked for."""

    def __init__(self, address: str) -> None:
        self.url = f"http://{address}"
        self.requests: list[str] = []
        self.documents: dict[str, Any] = {}
        self.redirects: dict[str, str] = {}
        self.discovers("/keys")

    def discovers(self, path: str, **metadata: str) -> None:
        self.documents["/.well-known/openid-configuration"] = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}{path}",
            **metadata,
        }

    def publishes(self, *keys: dict[str, str]) -> None:
        self.documents["/keys"] = {"keys": list(keys)}

    @property
    def fetches(self) -> int:
        return self.requests.count("/keys")


@pytest.fixture
def issuer() -> Generator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            target, document = served.redirects.get(self.path), served.documents.get(self.path)
            body = json.dumps(document).encode()
            if target:
                self.send_response(302)
                self.send_header("Location", target)
            else:
                self.send_response(404 if document is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Issuer(f"127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, name="issuer")
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def public() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return json.loads(RSAAlgorithm.to_jwk(key)) | {"alg": "RS256", "use": "sig"}


def test_a_known_key_is_fetched_once(issuer: Issuer, public: dict[str, str]) -> None:
    issuer.publishes(public | {"kid": "a"})
    keys = IssuerKeys(issuer.url)
    assert keys.cached_key("a") is None
    assert keys.get_signing_key("a").key_id == "a"
    found = keys.cached_key("a")
    assert found is not None
    assert found.key_id == "a"
    assert issuer.fetches == 1


def test_unknown_keys_do_not_make_us_press_the_issuer(issuer: Issuer, public: dict[str, str]) -> None:
    issuer.publishes(public | {"kid": "a"})
    keys = IssuerKeys(issuer.url)
    for number in range(50):
        with pytest.raises(PyJWKClientError):
            keys.get_signing_key(f"unknown-{number}")
    assert issuer.fetches == 1


def test_a_new_key_is_found_once_a_fetch_is_allowed(issuer: Issuer, public: dict[str, str]) -> None:
    issuer.publishes(public | {"kid": "a"})
    keys = IssuerKeys(issuer.url, refetch_interval=0)
    keys.get_signing_key("a")
    issuer.publishes(public | {"kid": "b"})
    assert keys.get_signing_key("b").key_id == "b"
    with pytest.raises(PyJWKClientError):
        keys.get_signing_key("a")


def test_an_outage_is_asked_about_once_and_ends_no_session(issuer: Issuer, public: dict[str, str]) -> None:
    down = IssuerKeys(issuer.url)
    for _ in range(10):
        with pytest.raises(PyJWKClientConnectionError):
            down.get_signing_key("a")
    assert issuer.fetches == 1

    issuer.publishes(public | {"kid": "a"})
    keys = IssuerKeys(issuer.url, refetch_interval=0)
    keys.get_signing_key("a")
    issuer.documents.clear()
    with pytest.raises(PyJWKClientError):
        keys.get_signing_key("b")
    assert keys.get_signing_key("a").key_id == "a", "the keys of before stay valid"


def test_a_token_that_names_no_key_means_the_only_one(issuer: Issuer, public: dict[str, str]) -> None:
    issuer.publishes(public)
    keys = IssuerKeys(issuer.url)
    assert keys.cached_key(None) is None
    assert keys.get_signing_key(None).key_id is None
    assert keys.get_signing_key(None).key_id is None
    assert issuer.fetches == 1

    issuer.publishes(public | {"kid": "a"}, public | {"kid": "b"})
    with pytest.raises(PyJWKClientError):
        IssuerKeys(issuer.url).get_signing_key(None)


def test_a_key_for_encryption_signs_nothing(issuer: Issuer, public: dict[str, str]) -> None:
    issuer.publishes(public | {"kid": "a", "use": "enc"}, public | {"kid": "b"})
    with pytest.raises(PyJWKClientError):
        IssuerKeys(issuer.url).get_signing_key("a")


def test_a_redirect_is_not_followed(issuer: Issuer, public: dict[str, str]) -> None:
    issuer.documents["/elsewhere"] = {"keys": [public | {"kid": "a"}]}
    issuer.redirects["/keys"] = f"{issuer.url}/elsewhere"
    with pytest.raises(PyJWKClientConnectionError):
        IssuerKeys(issuer.url, f"{issuer.url}/keys").get_signing_key("a")
    assert "/elsewhere" not in issuer.requests


def test_a_document_over_the_limit_is_refused(issuer: Issuer, public: dict[str, str]) -> None:
    issuer.publishes(public | {"kid": "a", "pad": "x" * MAX_DOCUMENT_BYTES})
    with pytest.raises(PyJWKClientConnectionError):
        IssuerKeys(issuer.url).get_signing_key("a")


@pytest.mark.parametrize(
    "metadata", [{"issuer": "https://another.example"}, {"jwks_uri": "http://another.example/keys"}]
)
def test_metadata_of_another_issuer_or_of_an_open_way_is_refused(
    issuer: Issuer, public: dict[str, str], metadata: dict[str, str]
) -> None:
    issuer.publishes(public | {"kid": "a"})
    issuer.discovers("/keys", **metadata)
    with pytest.raises(PyJWKClientConnectionError):
        IssuerKeys(issuer.url).get_signing_key("a")
    assert issuer.fetches == 0


@pytest.mark.parametrize("document", [[], "keys", {"keys": []}, {"keys": [{"kty": "none"}]}, {}])
def test_what_is_no_set_of_keys_is_an_outage(issuer: Issuer, document: Any) -> None:
    issuer.documents["/keys"] = document
    with pytest.raises(PyJWKClientConnectionError):
        IssuerKeys(issuer.url).get_signing_key("a")
