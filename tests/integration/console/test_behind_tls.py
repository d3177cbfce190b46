"""The console and workflows' pages behind a proxy that ends TLS, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.integration.console.helpers import DESKTOP, Console
from tests.integration.secrets.tls_host import Ca
from tests.support.chromium import tab
from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import start_runtime
from tests.support.tls_proxy import TlsProxy, tls_proxy
from tests.support.waiting import until

_SITE = workflow(
    """
from fastapi import WebSocket
from fastapi.responses import HTMLResponse

@app.get("/", response_class=HTMLResponse)
def home(request: Request):
    return HTMLResponse("<title>ready</title><h1>The shop</h1>", headers={"Set-Cookie": "seen=1; Secure"})

@app.get("/asked")
def asked(request: Request):
    return {"cookies": request.cookies, "client": request.client and request.client.host, "scheme": request.url.scheme}

@app.websocket("/ws")
async def talk(socket: WebSocket):
    await socket.accept()
    await socket.send_text("hello")
""",
    title="Shop",
)
_FLAGS = (
    "--ignore-certificate-errors", "--no-proxy-server", "--host-resolver-rules=MAP *.test 127.0.0.1",
)  # fmt: skip
_ATTACKS = """(async () => {
  const told = (promise) => promise.then((answer) => `${answer.type} ${answer.status}`, () => "refused");
  const own = {"X-Codewords-Console": "1"};
  const inside = async (url) => {
    const frame = Object.assign(document.createElement("iframe"), {src: url});
    await new Promise((done) => { frame.onload = done; document.body.append(frame); });
    try { return frame.contentDocument ? "readable" : "closed"; } catch { return "closed"; }
  };
  for (const name of ["__Host-codewords_session", "codewords_session"])
    document.cookie = `${name}=evil; Domain=${DOMAIN}; Path=/; Secure`;
  const form = Object.assign(document.createElement("form"), {method: "post", action: `${CONSOLE}/sign-out`, target: "out"});
  const out = Object.assign(document.createElement("iframe"), {name: "out"});
  document.body.append(out, form);
  await new Promise((done) => { out.onload = done; form.submit(); });
  return {
    api: await told(fetch(`${CONSOLE}/workflows`, {headers: own, credentials: "include"})),
    read: await told(fetch(`${CONSOLE}/workflows`, {credentials: "include"})),
    frame: await inside(`${CONSOLE}/console/settings`),
  };
})()"""


@dataclass(frozen=True, slots=True)
class Behind:
    """A console behind the proxy, and the site of a workflow there."""

    console: Console
    proxy: TlsProxy
    url: str
    site: str


@pytest.fixture(scope="module", params=["apps.example.test", "shops.test"])
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """Pages below the console's own domain, which browsers take for one site with it, and below another."""
    folder = tmp_path_factory.mktemp("tls")
    with tls_proxy(Ca(folder).issue("console.example.test")) as proxy:
        url = f"https://console.example.test:{proxy.port}"
        pages = f"https://{request.param}:{proxy.port}"
        home = make_home(folder / "home")
        with (
            start_runtime(home, CODEWORDS_PUBLIC_URL=url, CODEWORDS_PAGES_URL=pages) as served,
            tab(folder / "profile", width=DESKTOP[0], height=DESKTOP[1], flags=_FLAGS) as page,
        ):
            proxy.far = urlsplit(served.url).port or 0
            service = served.deploy(_SITE, "Shop")
            once = urlsplit(str(served.call("POST", "/sign-ins", {"page": "/console"})["url"]))
            page.open(url + once.path)
            site = f"https://{service.replace('_', '-')}.{request.param}:{proxy.port}"
            yield Behind(Console(page, served, service), proxy, url, site)


@pytest.mark.requirement("origins:tls")
def test_a_workflows_page_works_at_its_own_https_origin(behind: Behind) -> None:
    _open(behind, "/")
    assert behind.console.sees("h1") == "The shop"
    tab = behind.console.tab
    assert tab.value("isSecureContext")
    assert tab.value("document.cookie") == "seen=1", "the session is no script's"
    asked = tab.value("fetch('/asked').then((answer) => answer.json())")
    assert asked["cookies"] == {"seen": "1"}
    socket = "new Promise((done) => { const one = new WebSocket(`wss://${location.host}/ws`); one.onmessage = (told) => done(told.data); one.onerror = () => done('refused'); })"
    assert tab.value(socket) == "hello"

    cookies = {
        (cookie["name"], cookie["domain"]): cookie for cookie in tab.do("Network.getAllCookies")["cookies"]
    }
    for name, address in (("session", behind.url), ("page", behind.site)):
        cookie = cookies[f"__Host-codewords_{name}", urlsplit(address).hostname]
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict"), name


@pytest.mark.requirement("origins:tls")
def test_what_a_proxy_does_not_tell_is_known_from_the_settings(behind: Behind) -> None:
    behind.proxy.tells = False
    try:
        _open(behind, "/")
        assert behind.console.sees("h1") == "The shop"
    finally:
        behind.proxy.tells = True


@pytest.mark.requirement("origins:tls", "origins:hostile")
def test_a_page_reaches_nothing_of_the_console_from_its_https_origin(behind: Behind) -> None:
    _open(behind, "/")
    domain = ".".join((urlsplit(behind.site).hostname or "").split(".")[-2:])
    constants = f"const CONSOLE = {json.dumps(behind.url)}, DOMAIN = {json.dumps(domain)};"
    found: Any = behind.console.tab.value(f"(() => {{ {constants} return {_ATTACKS} }})()")
    assert found == {"api": "refused", "read": "refused", "frame": "closed"}

    # Nor does the console show the page within it.
    behind.console.tab.open(f"{behind.url}/console/members")
    behind.console.sees(".tag", "This browser")
    framed = f"""new Promise((done) => {{
      const frame = Object.assign(document.createElement("iframe"), {{src: {json.dumps(behind.site)}}});
      document.addEventListener("securitypolicyviolation", (broken) => done(broken.effectiveDirective));
      document.body.append(frame);
    }})"""
    assert behind.console.tab.value(framed) == "frame-src"


def _open(behind: Behind, path: str) -> None:
    """Open the workflow's page as the console's button does, in this tab."""
    tab = behind.console.tab
    tab.open(f"{behind.url}/console/settings")
    behind.console.sees("main h1")
    tab.value(f"""(async () => {{
        const asked = await fetch("/workflows/{behind.console.workflow}/page", {{method: "POST", body: JSON.stringify({{path: {json.dumps(path)}}}),
          headers: {{"X-Codewords-Console": "1", "Content-Type": "application/json"}}}});
        const {{url}} = await asked.json();
        Object.assign(document.createElement("a"), {{href: url, referrerPolicy: "origin"}}).click();
    }})()""")
    until(lambda: tab.value("location.href") == behind.site + path, behind.site + path)
    behind.console.waits("document.readyState === 'complete'")
