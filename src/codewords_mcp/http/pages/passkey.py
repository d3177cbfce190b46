"""The page on which a member signs in by a passkey.

Only a script can ask a browser for a passkey. So this page has one, the only one of the pages outside of the console; its
policy names the script by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from html import escape
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import BodyTooLarge, InvalidInput, Unauthenticated
from codewords_mcp.http.bodies import read_form
from codewords_mcp.http.middleware.session_cookies import (
    attempt_secret,
    browser_of,
    direct_peer,
    set_attempt_cookie,
)
from codewords_mcp.http.operations import HttpOperation, Parameter
from codewords_mcp.http.pages import HEADERS, page, sorry
from codewords_mcp.http.pages.sign_in import with_session
from codewords_mcp.http.routes.passkeys import MAX_CREDENTIAL
from codewords_mcp.http.state import ERROR_PAGE, SELF, runtime
from codewords_mcp.runtime.auth.page_access import checked_path
from codewords_mcp.runtime.auth.passkey_ceremonies import CHALLENGE_TTL, Credential

PATH = "/sign-in/passkey"
SCRIPT = """
const form = document.querySelector("form"), told = document.querySelector("[role=alert]");
async function ask() {
  told.textContent = "";
  try {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(form.dataset.options));
    const credential = await navigator.credentials.get({ publicKey });
    form.credential.value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    const isOld = !window.PublicKeyCredential?.parseRequestOptionsFromJSON;
    told.textContent = isOld ? form.dataset.old : form.dataset.failed;
  }
}
document.querySelector("button").addEventListener("click", ask);
ask();
"""
_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
_POLICY = f"{HEADERS['Content-Security-Policy']}; script-src 'sha256-{_HASH}'"
_OLD = "This browser is too old for passkeys."
_FAILED = "No passkey was used. Try again, or sign in another way."
_sorry = sorry("You are not signed in")


async def show(request: Request) -> Response:
    """Ask the browser for a passkey of this site."""
    scope = request.scope
    scope[ERROR_PAGE] = _sorry
    to = checked_path(request.query_params.get("to", "/console"))
    secret = secrets.token_urlsafe(32)
    options = runtime(scope).passkeys.begin_sign_in(scope[SELF], secret)
    shown = page(
        "Sign in by a passkey",
        "<h1>Sign in by a passkey</h1><p>Your browser or phone asks for it.</p>"
        '<p class="bad" role="alert"></p>'
        f'<form method="post" action="{PATH}" data-options="{escape(json.dumps(options))}" data-old="{_OLD}"'
        f' data-failed="{_FAILED}"><input type="hidden" name="to" value="{escape(to)}">'
        '<input type="hidden" name="credential"><button type="button" autofocus>Use a passkey</button></form>'
        '<p class="dim last">Passkeys are added on the page Members of the console.</p>'
        f"<script>{SCRIPT}</script>",
    )
    shown.headers["Content-Security-Policy"] = _POLICY
    _set_cookie(shown, scope, secret, CHALLENGE_TTL)
    return shown


async def sign_in(request: Request) -> Response:
    """Take the passkey's answer, and sign the browser in as its member."""
    scope = request.scope
    scope[ERROR_PAGE] = _sorry
    fields = await read_form(request, 2 * MAX_CREDENTIAL, _too_large)
    to = checked_path(fields.get("to", "/console"))
    secret = attempt_secret(scope)
    if not secret:
        raise Unauthenticated(
            "This browser has begun no sign-in, or it took longer than five minutes.",
            hint="Begin it again from this runtime's page.",
        )
    token = await runtime(scope).passkeys.sign_in(
        scope[SELF],
        secret,
        _credential(fields.get("credential", "")),
        direct_peer(scope),
        browser=browser_of(scope),
    )
    reply = await with_session(request, token, to)
    _set_cookie(reply, scope, "", 0)
    return reply


def _credential(text: str) -> Credential:
    """The answer of `navigator.credentials.get` in the form. Raises InvalidInput."""
    try:
        credential = parse(text)
    except ValueError:
        credential = None
    if not isinstance(credential, dict):
        raise InvalidInput("The form did not arrive whole.", hint="Open the page again.")
    return cast("Credential", credential)


def _set_cookie(reply: Response, scope: Scope, secret: str, seconds: int) -> None:
    reply.raw_headers.append((b"set-cookie", set_attempt_cookie(scope[SELF], secret, seconds)))


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("That is no answer of this page.", hint="Open the page again.")


_TAG = "sign-in"
OPERATIONS = [
    HttpOperation(
        "GET", PATH, "The page to sign in by a passkey", show, tag=_TAG, media="text/html",
        parameters=(Parameter("to", "The path to go on at.", {"type": "string"}),),
    ),
    HttpOperation(
        "POST", PATH, "Sign a browser in by a passkey", sign_in, tag=_TAG, media="text/html", status=303,
        body_media="application/x-www-form-urlencoded",
        body={"type": "object", "properties": {"credential": {"type": "string"}, "to": {"type": "string"}}},
    ),
]  # fmt: skip
