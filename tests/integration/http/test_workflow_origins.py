"""Workflows on origins of their own: what is served there, to whom, and what stays on the runtime's."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.support.browser_client import NAVIGATION, OPENED, Browser, sign_in
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import workflow
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from codewords_mcp.runtime.model.origin_labels import label_of, service_of

pytestmark = pytest.mark.requirement("origins:own")
CONSOLE = {"X-Codewords-Console": "1", "Sec-Fetch-Site": "same-origin"}
SITE = workflow(
    """
from fastapi import Response, WebSocket
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

@app.get("/", response_class=HTMLResponse)
def home():
    return "<h1>The shop</h1>"

@app.get("/leave")
def leave():
    return RedirectResponse("/echo?from=leave")

@app.get("/cookies")
def cookies(request: Request, response: Response):
    response.headers.append("set-cookie", "cart=1; Path=/; Domain=localhost; HttpOnly")
    response.headers.append("set-cookie", "codewords_page_1=stolen")
    response.headers.append("set-cookie", "__Host-codewords_session=stolen; Secure; Path=/")
    response.headers.append("set-cookie", "=codewords_session_8765=stolen")
    response.headers["clear-site-data"] = '"cookies"'
    return {"got": request.cookies, "headers": dict(request.headers)}

@app.api_route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def echo(request: Request):
    return {"method": request.method, "query": request.url.query, "headers": dict(request.headers)}

@app.get("/stream")
async def stream():
    async def lines():
        for number in range(3):
            yield f"line {number}\\n"
    return StreamingResponse(lines(), media_type="text/plain")

@app.websocket("/ws")
async def talk(socket: WebSocket):
    await socket.accept()
    await socket.send_text("hello " + socket.cookies.get("cart", "nobody"))
    await socket.close()
""",
    title="Shop",
)


class Visitor(Browser):
    """A browser at the origin of a workflow, which this machine's resolver need not know."""

    def __init__(self, door: Door, service_id: str) -> None:
        super().__init__(base_url=door.url)
        self.host = f"{label_of(service_id)}.localhost:{door.port}"
        self.origin = f"http://{self.host}"

    def ask(self, path: str, method: str = "GET", **headers: Any) -> httpx.Response:
        """A request of the page itself, unless the headers say something else."""
        own = {"Host": self.host, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
        if method not in {"GET", "HEAD"}:
            own["Origin"] = self.origin
        merged = own | {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in merged.items() if value is not None}
        return self.request(method, path, headers=sent)

    def open(self, address: str) -> httpx.Response:
        """Follow a one-time address, as a person who typed it."""
        answer = self.ask(urlsplit(address).path, Host=urlsplit(address).netloc, **_names(OPENED))
        for cookie in answer.headers.get_list("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.headers["Cookie"] = f"{name}={value}"
        return answer


def _names(headers: Mapping[str, str | None]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in headers.items()}


@pytest.fixture(scope="module")
def shop(door: Door) -> str:
    with door.client() as http:
        return http.post("/deploy", json={"code": SITE, "name": "Shop", "allow": True}).json()["service_id"]


@pytest.fixture
def person(door: Door) -> Iterator[Browser]:
    with sign_in(door.url, ADMIN_KEY) as browser:
        yield browser


@pytest.fixture
def visitor(door: Door, shop: str, person: Browser) -> Iterator[Visitor]:
    """A browser that opened the shop's page from the console."""
    with Visitor(door, shop) as browser:
        assert browser.open(opened(door, person, shop)).status_code == 200
        yield browser


def opened(door: Door, person: Browser, service_id: str, path: str = "/", **headers: str) -> str:
    """The one-time address that the console gets for a page of a workflow."""
    made = person.post(
        f"{door.url}/workflows/{service_id}/page",
        json={"path": path},
        headers=CONSOLE | {"Origin": door.url} | headers,
    )
    assert made.status_code == 200, made.text
    return made.json()["url"]


@pytest.mark.parametrize(
    ("service_id", "label"),
    [
        ("shop_0a1b2c3d", "shop-0a1b2c3d"),
        (f"{'a' * 40}_0a1b2c3d", f"{'a' * 40}-0a1b2c3d"),
        ("page_monitor_2_0a1b2c3d", "page-monitor-2-0a1b2c3d"),
        ("send_email", None),
        ("Shop_0a1b2c3d", None),
        ("shop__0a1b2c3d", None),
        ("_shop_0a1b2c3d", None),
        ("", None),
    ],
)
def test_each_workflow_has_one_label_and_each_label_one_workflow(service_id: str, label: str | None) -> None:
    assert label_of(service_id) == label
    if label is not None:
        assert len(label) <= 63
        assert service_of(label) == service_id


@pytest.mark.parametrize(
    "label", ["shop", "shop_0a1b2c3d", "a.shop-0a1b2c3d", "xn--shop-0a1b2c3d", "-shop-0a1b2c3d", ""]
)
def test_other_names_are_no_workflows(label: str) -> None:
    assert service_of(label) is None


def test_all_of_a_workflow_is_on_its_origin(visitor: Visitor, door: Door) -> None:
    assert visitor.ask("/", **_names(NAVIGATION)).text == "<h1>The shop</h1>"
    assert visitor.ask("/docs", **_names(NAVIGATION)).status_code == 200
    assert "/echo" in visitor.ask("/openapi.json").json()["paths"]
    assert visitor.ask("/stream").text == "line 0\nline 1\nline 2\n"
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = visitor.ask("/echo?a=%2F&b", method)
        assert answer.json()["method"] == method
        assert answer.json()["query"] == "a=%2F&b"
    led = visitor.ask("/leave")
    assert led.headers["location"] == "/echo?from=leave"
    assert "sandbox" not in visitor.ask("/").headers["content-security-policy"]


def test_nothing_of_the_runtime_is_on_a_workflows_origin(visitor: Visitor, shop: str) -> None:
    for path in (
        "/workflows",
        "/status",
        "/console",
        "/healthz",
        "/mcp",
        f"/run/{shop}/",
        "/sessions",
        "/events",
        "/sign-in/x",
    ):
        answer = visitor.ask(path)
        assert answer.status_code == 404, path
        assert answer.headers["error-origin"] == "service", "the workflow itself answers"
    assert visitor.ask("/.codewords/anything").status_code == 404
    for headers in (
        {"Authorization": f"Bearer {ADMIN_KEY}"},
        {"X_API_Key": ADMIN_KEY},
        {"X_Codewords_Console": "1"},
    ):
        assert visitor.ask("/status", Cookie=None, **headers).status_code in {401, 404}


def test_cookies_are_the_workflows_own_and_for_its_host_only(visitor: Visitor) -> None:
    session = visitor.headers["Cookie"]
    answer = visitor.ask("/cookies", Cookie=f"{session}; cart=7; codewords_session_1=other; x=y")
    assert answer.json()["got"] == {"cart": "7", "x": "y"}
    assert session.partition("=")[2] not in answer.text
    assert answer.headers.get_list("set-cookie") == ["cart=1; Path=/; HttpOnly"]
    assert "clear-site-data" not in answer.headers, "it clears the cookies of all hosts of a site"


def test_a_page_does_not_steer_the_runtime(visitor: Visitor, http: httpx.Client) -> None:
    """Its program chose the headers, and its person did not."""
    answer = visitor.ask(
        "/echo",
        Codewords_Dry_Run="yes",
        Run_As_Template="yes",
        X_Provisioned_Request_Id="mine",
        Authorization="Bearer of-the-shop",
    )
    assert not {"run-as-template", "codewords-dry-run"} & answer.json()["headers"].keys()
    assert answer.json()["headers"]["authorization"] == "Bearer of-the-shop"
    run_id = answer.headers["x-request-id"]
    assert run_id != "mine"
    assert http.get(f"/request/{run_id}").json()["mode"] is None


def test_on_the_runtimes_origin_a_browser_takes_no_cookie_of_a_workflow(
    http: httpx.Client, door: Door, shop: str, person: Browser
) -> None:
    by_program = http.get(f"/run/{shop}/cookies")
    assert by_program.headers.get_list("set-cookie") == ["cart=1; Path=/; Domain=localhost; HttpOnly"]
    by_console = person.get(f"{door.url}/run/{shop}/cookies", headers=CONSOLE)
    assert by_console.status_code == 200
    assert by_console.json()["got"] == {}
    for answer in (by_program, by_console):
        assert "clear-site-data" not in answer.headers
    assert "set-cookie" not in by_console.headers
    script = http.get(f"/run/{shop}/", headers={"Service-Worker": "script"})
    assert script.status_code == 403


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        ("GET", {"Sec-Fetch-Site": "same-site"}),
        ("GET", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", {"Sec-Fetch-Site": "none"}),
        ("GET", {"Sec-Fetch-Site": None}),
        ("GET", {"Origin": "http://other-0a1b2c3d.localhost"}),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "iframe"}),
        ("POST", {"Sec-Fetch-Site": "same-site"}),
        ("POST", {"Sec-Fetch-Site": "none"}),
        ("POST", {"Origin": None}),
        ("POST", {"Origin": "null"}),
        ("POST", {"Origin": "http://other-0a1b2c3d.localhost"}),
        ("OPTIONS", {"Origin": "http://other-0a1b2c3d.localhost"}),
    ],
)
def test_no_page_of_another_origin_acts_by_the_session(
    visitor: Visitor, http: httpx.Client, method: str, wrong: dict[str, str | None]
) -> None:
    """Also where a browser sends the cookie, since the workflows below one domain may be of one site."""
    before = len(http.get("/runs?limit=100").json()["items"])
    refused = visitor.ask("/echo", method, **_names(wrong))
    assert refused.status_code == 403
    assert len(http.get("/runs?limit=100").json()["items"]) == before, "the workflow did not run"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_of_another_site_asks_before_it_opens_a_page(
    visitor: Visitor, http: httpx.Client, site: str
) -> None:
    before = len(http.get("/runs?limit=100").json()["items"])
    page = visitor.ask("/echo?a=<b>&c=1", **_names(NAVIGATION | {"Sec-Fetch-Site": site}))
    assert page.status_code == 200
    assert 'href="/echo?a=%3Cb%3E&amp;c=1"' in page.text
    assert page.headers["x-frame-options"] == "DENY"
    twice = visitor.ask(f"{visitor.base_url}/evil.example/x", **_names(NAVIGATION | {"Sec-Fetch-Site": site}))
    assert 'href="/evil.example/x"' in twice.text
    assert len(http.get("/runs?limit=100").json()["items"]) == before


def test_websockets_are_passed_for_the_workflows_own_page_only(visitor: Visitor, door: Door) -> None:
    def talk(origin: str | None, cookie: str) -> str:
        headers = {"Cookie": f"{cookie}; cart=9"}
        raw = socket.create_connection(("127.0.0.1", door.port), timeout=60)
        with connect(
            f"ws://{visitor.host}/ws", sock=raw, origin=Origin(origin) if origin else None, additional_headers=headers,
            proxy=None, open_timeout=60,
        ) as talking:  # fmt: skip
            return str(talking.recv(timeout=60))

    session = visitor.headers["Cookie"]
    assert talk(visitor.origin, session) == "hello 9"
    for origin, cookie in (
        (visitor.origin.replace("shop", "other"), session),
        (None, session),
        (visitor.origin, "codewords_page_1=x"),
    ):
        with pytest.raises(InvalidStatus) as refused:
            talk(origin, cookie)
        assert refused.value.response.status_code in {401, 403}


@pytest.mark.requirement("origins:session")
def test_without_a_session_a_page_leads_to_the_console_whether_or_not_it_exists(
    door: Door, shop: str
) -> None:
    with Visitor(door, shop) as stranger:
        page = stranger.ask("/docs?a=1", **_names(OPENED))
        assert page.status_code == 401
        assert f'href="{door.url}/console/workflows/{shop}?page=/docs%3Fa%3D1"' in page.text
        assert stranger.ask("/echo").status_code == 401
        unknown = stranger.ask("/", Host=f"none-0a1b2c3d.localhost:{door.port}", **_names(OPENED))
        assert unknown.status_code == 401
        assert stranger.ask("/", Host=f"a.b.localhost:{door.port}", **_names(OPENED)).status_code == 401
        assert "www-authenticate" not in page.headers
        assert "basic" not in stranger.ask("/").headers.get("www-authenticate", "").lower()


@pytest.mark.requirement("origins:session")
def test_an_address_opens_its_own_workflow_once_for_a_person(door: Door, shop: str, person: Browser) -> None:
    address = opened(door, person, shop, "/docs?x=1")
    token = urlsplit(address).path
    with Visitor(door, shop) as browser:
        elsewhere = browser.ask(token, Host=f"other-0a1b2c3d.localhost:{door.port}", **_names(OPENED))
        assert elsewhere.status_code == 404
        led = browser.ask(token, **_names(NAVIGATION | {"Sec-Fetch-Site": "cross-site"}))
        assert "<form" in led.text, "a link of some page opens nothing at once"
        assert "set-cookie" not in led.headers
        foreign = browser.ask(token, "POST", Origin="http://evil.example", Sec_Fetch_Site="cross-site")
        assert foreign.status_code == 403

        by_console = {"Sec-Fetch-Site": "cross-site", "Referer": f"{door.url}/"}
        done = browser.ask(token, **_names(NAVIGATION | by_console))
        assert done.headers["refresh"] == "0; url=/docs?x=1"
        [cookie] = done.headers.get_list("set-cookie")
        assert cookie.startswith(f"codewords_page_{door.port}=")
        assert "; HttpOnly; " in cookie
        assert cookie.endswith("; SameSite=Strict")
        assert "Domain" not in cookie
        assert browser.ask(token, **_names(OPENED)).status_code == 404


@pytest.mark.requirement("origins:session")
def test_a_pages_session_is_for_one_workflow_and_ends_with_the_consoles(
    door: Door, shop: str, person: Browser, visitor: Visitor
) -> None:
    cookie = visitor.headers["Cookie"].replace("codewords_page", "codewords_session")
    other = visitor.ask("/", Host=visitor.host.replace("shop", "other"))
    assert other.status_code == 401
    with Browser() as thief:
        assert thief.look(door.url, Cookie=cookie).status_code == 401
        assert thief.get(f"{door.url}/workflows", headers=CONSOLE | {"Cookie": cookie}).status_code == 401

    mine = person.get(f"{door.url}/sessions", headers=CONSOLE).json()["items"]
    [current] = [one for one in mine if one["current"]]
    assert current["workflows"] == [shop]
    assert visitor.ask("/echo").status_code == 200
    person.submit(f"{door.url}/sign-out")
    assert visitor.ask("/echo").status_code == 401


@pytest.mark.requirement("origins:session")
def test_another_owners_private_workflow_is_not_opened(door: Door, shop: str) -> None:
    with sign_in(door.url, door.make_key(owner="dan")) as dan:
        headers = CONSOLE | {"Origin": door.url}
        refused = dan.post(f"{door.url}/workflows/{shop}/page", json={}, headers=headers)
        assert refused.status_code == 404
        for path in ("//evil.example", "/\\evil.example", "https://evil.example", "/x y", ""):
            wrong = dan.post(f"{door.url}/workflows/{shop}/page", json={"path": path}, headers=headers)
            assert wrong.status_code in {400, 404, 422}


@pytest.mark.requirement("origins:domain")
def test_below_an_operators_domain_pages_are_https_with_cookies_that_no_neighbour_sets(
    door: Door, shop: str, person: Browser
) -> None:
    label = label_of(shop)
    with Browser(base_url=door.url, headers={"Host": "public.example"}) as console:
        form = {"key": ADMIN_KEY, "to": "/"}
        own = {"Origin": "https://public.example", "Sec-Fetch-Site": "same-origin"}
        signed = console.post("/sign-in", data=form, headers=own).headers["set-cookie"].partition(";")[0]
        made: str = console.post(
            f"/workflows/{shop}/page", json={}, headers=CONSOLE | own | {"Cookie": signed}
        ).json()["url"]
    assert made.startswith(f"https://{label}.apps.example.com/.codewords/open/")
    with Visitor(door, shop) as browser:
        browser.host = f"{label}.apps.example.com"
        by_console = {"Sec-Fetch-Site": "cross-site", "Referer": "https://public.example/"}
        done = browser.ask(urlsplit(made).path, **_names(NAVIGATION | by_console))
        cookie = done.headers["set-cookie"]
        assert cookie.startswith("__Host-codewords_page=")
        assert "; Secure" in cookie
        assert browser.ask("/echo", Cookie=cookie.partition(";")[0]).status_code == 200
        page = browser.ask("/", **_names(OPENED))
        assert f"https://public.example/console/workflows/{shop}" in page.text
        assert browser.ask("/status", Host="apps.example.com").status_code == 421


def test_a_page_of_a_workflow_is_no_trusted_origin_of_the_runtime(
    http: httpx.Client, visitor: Visitor
) -> None:
    for origin in (visitor.origin, "https://shop-0a1b2c3d.apps.example.com", "http://app.localhost:3000"):
        refused = http.post("/provision-request", headers={"Origin": origin})
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
