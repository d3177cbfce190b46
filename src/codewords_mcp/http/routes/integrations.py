"""Integrations: what there is, how an app is connected, what is done in it. And the pages on which one connects."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import parse_qs

from pydantic import Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from codewords_mcp.errors import BodyTooLarge, InvalidInput
from codewords_mcp.http.bodies import Body, read_body, read_bytes
from codewords_mcp.http.middleware.headers import content_length
from codewords_mcp.http.middleware.people import person
from codewords_mcp.http.operations import HttpOperation, Parameter, items_of
from codewords_mcp.http.pages import HEADERS, page, sorry
from codewords_mcp.http.pages.mcp_server import server_page
from codewords_mcp.http.pages.server_package import read_launch
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import ERROR_PAGE, caller, runtime
from codewords_mcp.runtime.model.integration import Account, ActionOutcome, Connection, Detail, FoundActions
from codewords_mcp.runtime.model.mcp import LaunchChoice, RegistryServer
from codewords_mcp.runtime.model.service import CallPreview

MOST = 500
MAX_WAIT = 100.0
MCP = "mcp"
"""The app that stands for MCP servers, which are connected by their address."""
_MAX_FORM = 64 << 10
_sorry = sorry("It could not be connected")


class LookupBody(Body):
    """`props` are what is set already; `prop` asks for the values that one field takes."""

    action: str
    prop: str = ""
    props: dict[str, Any] = Field(default_factory=dict[str, Any])
    query: str = ""
    account: str | None = None


class ConnectBody(Body):
    """`wait_seconds`: answer as soon as the app is connected, or after so long.

    Of the app `mcp`: `url` is the server's address or its package, `name` a name for it. A package is started with `arguments`;
    it reaches `hosts` only (`*`: every public one), and gets the secrets that `variables` name. With `agree` it is connected
    at once, where it asks for neither token nor sign-in; `believe` takes its word for which tools only read.
    """

    wait_seconds: float = Field(default=0, ge=0, le=MAX_WAIT)
    url: str = Field(default="", max_length=2_000)
    name: str = Field(default="", max_length=100)
    agree: bool = False
    believe: bool = False
    arguments: list[str] | None = None
    hosts: list[str] | None = None
    variables: list[str] | None = None

    @property
    def choice(self) -> LaunchChoice:
        """The parts of a package's launch that were sent."""
        chosen = self.model_dump(include={"arguments", "hosts", "variables"}, exclude_none=True)
        return LaunchChoice.model_validate(chosen)


class CallBody(Body):
    """`account` is one of several that are connected; without it the newest is taken."""

    action: str
    props: dict[str, Any] = Field(default_factory=dict[str, Any])
    account: str | None = None


async def search(request: Request) -> Response:
    """Actions and apps for a question in plain words; without one, the most used apps."""
    query = request.query_params.get("query")
    if query is None:
        return JsonReply(await runtime(request.scope).integrations.list_apps(limit=_limit(request, 60)))
    return JsonReply(
        await runtime(request.scope).integrations.search(
            caller(request.scope), query, limit=_limit(request, 8)
        )
    )


async def show_app(request: Request) -> Response:
    """List the actions of an app."""
    query = request.query_params.get("query", "")
    return JsonReply(
        await runtime(request.scope).integrations.list_actions(
            caller(request.scope), _app(request), query=query, limit=_limit(request, 30)
        )
    )


async def show_action(request: Request) -> Response:
    """An action's fields, or the values that one takes."""
    body = await read_body(request, LookupBody)
    found = await runtime(request.scope).integrations.get_action(
        caller(request.scope), _app(request), body.action,
        prop=body.prop, props=body.props, query=body.query, account=body.account,
    )  # fmt: skip
    return JsonReply(found)


async def connect(request: Request) -> Response:
    """Describe the connection of an app, with the address where a person connects it."""
    empty = not content_length(request.scope["headers"])
    if empty:
        body = ConnectBody()
    else:
        body = await read_body(request, ConnectBody)
    if _app(request) == MCP:
        return JsonReply(
            await runtime(request.scope).connections.connect_server(
                caller(request.scope),
                body.url,
                name=body.name,
                agree=body.agree,
                believe=body.believe,
                choice=body.choice,
            )
        )
    return JsonReply(
        await runtime(request.scope).connections.connect(
            caller(request.scope), _app(request), wait=body.wait_seconds
        )
    )


async def call(request: Request) -> Response:
    """Do something in an app, once."""
    body = await read_body(request, CallBody)
    done = await runtime(request.scope).integrations.call(
        caller(request.scope), _app(request), body.action, body.props, account=body.account
    )
    return JsonReply(done)


async def preview(request: Request) -> Response:
    """Preview a call without making it."""
    body = await read_body(request, CallBody)
    found = await runtime(request.scope).integrations.preview(
        caller(request.scope), _app(request), body.action, body.props, account=body.account
    )
    return JsonReply(found)


async def mcp_servers(request: Request) -> Response:
    """MCP servers of the registry for some words, remote or as packages."""
    found = await runtime(request.scope).connections.search_servers(
        caller(request.scope), request.query_params.get("query", ""), limit=_limit(request, 20)
    )
    return JsonReply({"items": found})


async def connections(request: Request) -> Response:
    """The accounts that are connected."""
    return JsonReply({"items": await runtime(request.scope).connections.list(caller(request.scope))})


async def disconnect(request: Request) -> Response:
    """Forget an account."""
    await runtime(request.scope).connections.disconnect(
        caller(request.scope), str(request.path_params["account"])
    )
    return Response(status_code=204)


async def link_page(request: Request) -> Response:
    """Show the app and the owner of a connection before a person goes on to the broker."""
    request.scope[ERROR_PAGE] = _sorry
    found = await runtime(request.scope).connections.peek_link(person(request.scope), _nonce(request))
    if found.review is not None:
        return server_page(found, found.review, _nonce(request))
    app = escape(found.app)
    if found.connected:
        return _connected(app)

    return page(
        f"Connect {found.app}",
        f"<h1>Connect <code>{app}</code></h1>"
        f"<p>The account becomes one of <b>{escape(found.owner)}</b> in this CodeWords runtime. Workflows that you deploy "
        "and that declare it, and calls that you agree to, can then use it.</p>"
        f'<p><a class="button" href="/connect/{escape(_nonce(request))}/go" rel="noreferrer">Go on to Pipedream</a></p>'
        '<p class="dim last">You sign in there, not here: neither the assistant nor this runtime sees a password. '
        "If you did not ask for this, close the page.</p>",
    )


async def link_agree(request: Request) -> Response:
    """Agree to an MCP server as its page showed it, or change how one from a package is started."""
    request.scope[ERROR_PAGE] = _sorry
    sent = await read_bytes(request, _MAX_FORM, _too_large)
    # With blank values: a field that a person emptied is an answer and still makes the form whole.
    form = parse_qs(sent.decode("ascii", "replace"), keep_blank_values=True)
    choice = read_launch(form)
    if choice is not None:
        await runtime(request.scope).connections.choose_launch(person(request.scope), _nonce(request), choice)
        return RedirectResponse(f"/connect/{_nonce(request)}", 303, headers=HEADERS)
    believe, seen = form.get("believe", [""])[0], form.get("seen", [""])[0]
    if believe not in {"yes", "no"} or not seen:
        raise InvalidInput("The form did not arrive whole.", hint="Open the link again and choose.")

    found = await runtime(request.scope).connections.agree_to_server(
        person(request.scope), _nonce(request), seen=seen, believe=believe == "yes"
    )
    return _connected(escape(found.app))


async def signed_in(request: Request) -> Response:
    """A person is back from signing in at an MCP server."""
    request.scope[ERROR_PAGE] = _sorry
    query = request.query_params
    onward = await runtime(request.scope).connections.complete_sign_in(
        person(request.scope),
        state=query.get("state", ""),
        code=query.get("code", ""),
        issuer=query.get("iss"),
        refusal=query.get("error", ""),
    )
    return RedirectResponse(onward, 303, headers=HEADERS)


async def client_document(request: Request) -> Response:
    """Describe this runtime as an OAuth client, for authorization servers that read it at its client id."""
    found = runtime(request.scope).connections.client_document()
    return JsonReply(found, headers={"Cache-Control": "max-age=300"})


async def link_onward(request: Request) -> Response:
    """Redirect to the broker's own page.

    Its link is made now, for the person who pressed the button of the page before.
    """
    request.scope[ERROR_PAGE] = _sorry
    # A link elsewhere leads to the page before, where the person sees what will be connected.
    if request.headers.get("sec-fetch-site") != "same-origin":
        return RedirectResponse(f"/connect/{_nonce(request)}", 303, headers=HEADERS)
    url = await runtime(request.scope).connections.follow_link(person(request.scope), _nonce(request))
    # The address of this page has a one-time token in it, which the broker must not get.
    return RedirectResponse(url, 303, headers=HEADERS | {"Referrer-Policy": "no-referrer"})


async def link_done(request: Request) -> Response:
    """A person is back from the broker."""
    request.scope[ERROR_PAGE] = _sorry
    found = await runtime(request.scope).connections.complete_link(person(request.scope), _nonce(request))
    app = escape(found.app)
    if found.connected:
        return _connected(app)

    again = f'<a href="/connect/{escape(_nonce(request))}">Try again</a>'
    return page(
        f"{found.app} is not connected",
        f'<h1 class="bad">{app} is not connected</h1><p>Pipedream shows no account of it yet. It may take '
        f'a moment. {again}.</p><p class="last"></p>',
    )


def _connected(app: str) -> Response:
    return page(
        f"{app} is connected",
        f'<h1 class="good">{app} is connected</h1>'
        f'<p class="last">You can close this page, or <a href="/console/integrations/{app}">'
        "see what it can do</a>.</p>",
    )


def _app(request: Request) -> str:
    return str(request.path_params["app"])


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("The form is too large.", hint="Open the link again and choose.")


def _nonce(request: Request) -> str:
    return str(request.path_params["nonce"])


def _limit(request: Request, usual: int) -> int:
    text = request.query_params.get("limit", str(usual))
    # Six digits tell that a number is too large; `int` raises for a text of thousands of them.
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) <= MOST:
        raise InvalidInput(f"`limit` is a number from 1 to {MOST}.")
    return int(text[:6])


_QUERY = Parameter("query", "What is to be done, in plain words", {"type": "string"})
_LIMIT = Parameter("limit", "How many at most", {"type": "integer", "minimum": 1, "maximum": MOST})
_TAG = "integrations"
_FORM_FIELDS = ("believe", "seen", "arguments", "hosts", "variables")
OPERATIONS = [
    HttpOperation(
        "GET", "/integrations", "Search the integrations", search, tag=_TAG, reply=FoundActions,
        parameters=(_QUERY, _LIMIT),
        description="Actions and apps for a question in plain words; without `query`, the most used apps.",
    ),
    HttpOperation(
        "GET", "/integrations/{app}", "List what can be done in an app", show_app, tag=_TAG, reply=Detail,
        parameters=(_QUERY, _LIMIT),
    ),
    HttpOperation(
        "POST", "/integrations/{app}/describe", "Describe an action, or the values that a field takes",
        show_action, tag=_TAG, body=LookupBody, reply=Detail,
    ),
    HttpOperation(
        "POST", "/integrations/{app}/connect", "See how an app stands, and get the page to connect it", connect, tag=_TAG,
        body=ConnectBody, reply=Connection,
    ),
    HttpOperation(
        "POST", "/integrations/{app}/call", "Do something in an app, once", call,
        tag=_TAG, body=CallBody, reply=ActionOutcome,
    ),
    HttpOperation(
        "POST", "/integrations/{app}/preview", "What a call of an action would do", preview, tag=_TAG, body=CallBody,
        reply=CallPreview,
        description="Nothing is done. `asks` is the call as a person reads it, where it may send, change or act on something.",
    ),
    HttpOperation(
        "GET", "/mcp-servers", "Find MCP servers in the registry", mcp_servers, tag=_TAG,
        reply=items_of(RegistryServer), parameters=(_QUERY, _LIMIT),
        description="What a registry lists is its publishers' own word: a server is judged where it is connected.",
    ),
    HttpOperation("GET", "/connections", "List connected accounts", connections, tag=_TAG, reply=items_of(Account)),
    HttpOperation("DELETE", "/connections/{account}", "Disconnect an account", disconnect, tag=_TAG, status=204),
    HttpOperation(
        "GET", "/oauth/client.json", "This runtime as an OAuth client, of MCP servers", client_document, tag=_TAG,
        reply={"type": "object", "required": ["client_id", "redirect_uris"]},
    ),
    HttpOperation(
        "GET", "/connect/callback", "Back from signing in at an MCP server", signed_in,
        tag=_TAG, media="text/html", status=303,
    ),
    HttpOperation(
        "GET", "/connect/{nonce}", "The page that leads to the broker, or on which one agrees to an MCP server", link_page,
        tag=_TAG, media="text/html",
    ),
    HttpOperation(
        "POST", "/connect/{nonce}", "Agree to an MCP server, or change how one from a package is started", link_agree,
        tag=_TAG, media="text/html", body_media="application/x-www-form-urlencoded",
        body={"type": "object", "properties": {name: {"type": "string"} for name in _FORM_FIELDS}},
    ),
    HttpOperation(
        "GET", "/connect/{nonce}/go", "On to the broker's own page", link_onward,
        tag=_TAG, media="text/html", status=303,
    ),
    HttpOperation(
        "GET", "/connect/{nonce}/done", "Back from the broker", link_done, tag=_TAG, media="text/html"
    ),
]  # fmt: skip
