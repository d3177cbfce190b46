"""Workflows' own pages in a real browser: opened from the console, and hostile to it and to each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.integration.console.helpers import Console
from tests.support.runtime import workflow
from tests.support.waiting import until

SITE = workflow(
    """
from fastapi import Response, WebSocket
from fastapi.responses import HTMLResponse

@app.get("/", response_class=HTMLResponse)
def home(request: Request):
    return HTMLResponse(f"<title>ready</title><h1>{request.cookies.get('cart', 'empty')}</h1>", headers={"Set-Cookie": "seen=1"})

@app.api_route("/order", methods=["GET", "POST"])
def order():
    print("ORDERED", flush=True)
    return {"ordered": True}

@app.get("/cookies")
def cookies(request: Request, response: Response):
    for name in ("codewords_session_8765", *(name for name in request.query_params.get("names", "").split() if name)):
        response.headers.append("set-cookie", f"{name}=stolen; Path=/; HttpOnly")
    response.headers["clear-site-data"] = '"cookies", "storage"'
    return request.cookies

@app.get("/sw.js")
def worker():
    text = "self.addEventListener('fetch', event => event.respondWith(new Response('from the worker')))"
    return Response(text, media_type="text/javascript", headers={"Service-Worker-Allowed": "/"})

@app.websocket("/ws")
async def talk(socket: WebSocket):
    await socket.accept()
    print("ORDERED", flush=True)
    await socket.send_text("hello")
""",
    title="Site",
)
_ATTACKS = """(async () => {
  const told = (promise) => promise.then((answer) => `${answer.type} ${answer.status}`, () => "refused");
  const own = {"X-Codewords-Console": "1"};
  const loaded = (frame) => new Promise((done) => { frame.onload = done; document.body.append(frame); });
  const inside = async (url) => {
    const frame = Object.assign(document.createElement("iframe"), {src: url});
    await loaded(frame);
    try { return frame.contentDocument ? "readable" : "closed"; } catch { return "closed"; }
  };
  const posted = async (action) => {
    const frame = Object.assign(document.createElement("iframe"), {name: `to-${Math.random()}`});
    document.body.append(frame);
    const form = Object.assign(document.createElement("form"), {method: "post", action, target: frame.name});
    document.body.append(form);
    await new Promise((done) => { frame.onload = done; form.submit(); });
  };
  const socket = (url) => new Promise((done) => {
    const one = new WebSocket(url);
    one.onmessage = () => done("told"); one.onerror = () => done("refused");
  });
  const workerAt = (url) => navigator.serviceWorker.register(url).then(() => "registered", () => "refused");

  document.cookie = `${NAMES.session}=evil; Domain=127.0.0.1; Path=/`;
  for (const name of [NAMES.session, NAMES.page, "cart"]) {
    document.cookie = `${name}=evil; Domain=localhost; Path=/`;
    document.cookie = `${name}=evil; Domain=${new URL(SHOP).hostname}; Path=/`;
  }
  const result = {
    consoleApi: await told(fetch(`${CONSOLE}/workflows`, {headers: own, credentials: "include"})),
    consoleRead: await told(fetch(`${CONSOLE}/workflows`, {credentials: "include"})),
    consoleEvents: await told(fetch(`${CONSOLE}/events`, {credentials: "include"})),
    shopRead: await told(fetch(`${SHOP}/order`, {credentials: "include"})),
    consoleFrame: await inside(`${CONSOLE}/console/settings`),
    shopFrame: await inside(`${SHOP}/order`),
    answerFrame: await inside(`${CONSOLE}/console/answers/some-run`),
    shopSocket: await socket(`${SHOP.replace("http", "ws")}/ws`),
    consoleSocket: await socket(`${CONSOLE.replace("http", "ws")}/run/${ID}/ws`),
    foreignWorker: await workerAt(`${CONSOLE}/console/assets/app.js`),
  };
  await fetch(`${CONSOLE}/run/${ID}/order`, {method: "POST", mode: "no-cors", credentials: "include"}).catch(() => {});
  await fetch(`${SHOP}/order`, {method: "POST", mode: "no-cors", credentials: "include"}).catch(() => {});
  await fetch(`${SHOP}/order`, {mode: "no-cors", credentials: "include"}).catch(() => {});
  for (const to of [`${CONSOLE}/sign-out`, `${CONSOLE}/run/${ID}/order`, `${SHOP}/order`]) await posted(to);
  return result;
})()"""


@dataclass(frozen=True, slots=True)
class Sites:
    """Two workflows with pages; `hostile` is open in the tab, in the same browser as the console and the shop."""

    console: Console
    shop: str
    hostile: str

    def origin(self, service_id: str) -> str:
        host = self.console.served.url.removeprefix("http://127.0.0.1")
        return f"http://{service_id.replace('_', '-')}.localhost{host}"

    def open(self, service_id: str, path: str = "/") -> None:
        """Open a page as the console's button does, in this tab."""
        self.console.open("/console/settings")
        script = f"""(async () => {{
            const asked = await fetch("/workflows/{service_id}/page", {{method: "POST", body: JSON.stringify({{path: {json.dumps(path)}}}),
              headers: {{"X-Codewords-Console": "1", "Content-Type": "application/json"}}}});
            const {{url}} = await asked.json();
            Object.assign(document.createElement("a"), {{href: url, referrerPolicy: "origin"}}).click();
        }})()"""
        self.console.tab.value(script)
        self.arrives(self.origin(service_id) + path)

    def arrives(self, address: str) -> None:
        until(lambda: self.console.tab.value("location.href") == address, address)
        self.console.waits("document.readyState === 'complete'")

    def runs(self) -> int:
        """The runs of both workflows so far."""
        count = 0
        for service_id in (self.shop, self.hostile):
            count += len(self.console.served.call("GET", f"/runs?service_id={service_id}&limit=100")["items"])
        return count

    def attack(self, script: str, **more: Any) -> Any:
        """Run a script of the page that is open."""
        port = self.console.served.url.rpartition(":")[2]
        names = {"session": f"codewords_session_{port}", "page": f"codewords_page_{port}"}
        known = {
            "CONSOLE": self.console.served.url,
            "SHOP": self.origin(self.shop),
            "ID": self.shop,
            "NAMES": names,
        }
        constants = "".join(f"const {name} = {json.dumps(value)};" for name, value in known.items())
        given = self.console.tab.do(
            "Runtime.evaluate", expression=f"(() => {{ {constants} return {script} }})()", awaitPromise=True,
            returnByValue=True, **more,
        )  # fmt: skip
        assert "exceptionDetails" not in given, given
        return given["result"].get("value")


@pytest.fixture(scope="module")
def both(signed_in: Console) -> Sites:
    shop, hostile = (signed_in.served.deploy(SITE, name) for name in ("Shop", "Hostile"))
    return Sites(signed_in, shop, hostile)


@pytest.fixture
def sites(console: Console, both: Sites) -> Iterator[Sites]:
    """Both are opened once, so that the browser has cookies for them."""
    both.open(both.shop)
    both.open(both.hostile)
    yield both
    console.open("/console")


@pytest.mark.requirement("origins:own")
def test_the_console_opens_a_workflows_page_and_its_docs_in_a_tab(console: Console, both: Sites) -> None:
    console.open(f"/console/workflows/{both.shop}", "Shop")
    for button, path in (("Open its page", "/"), ("API docs", "/docs")):
        console.sees("main button", button)
        press = f"[...document.querySelectorAll('main button')].find(e => e.innerText.includes({json.dumps(button)})).click()"
        console.tab.do("Runtime.evaluate", expression=press, userGesture=True)
        wanted = both.origin(both.shop) + path
        until(lambda wanted=wanted: wanted in _addresses(console), wanted)
    for target in _targets(console):
        if target["url"].startswith(both.origin(both.shop)):
            console.tab.do("Target.closeTarget", targetId=target["targetId"])


@pytest.mark.requirement("console:own-docs")
def test_docs_are_offered_only_where_the_app_has_them(console: Console) -> None:
    assert "FastAPI(" in SITE
    hidden = console.served.deploy(SITE.replace("FastAPI(", "FastAPI(docs_url=None, ", 1), "Without docs")
    assert console.served.call("GET", f"/workflows/{hidden}")["docs"] is None
    console.open(f"/console/workflows/{hidden}", "Without docs")
    console.sees("main button", "Open its page")
    assert "API docs" not in console.sees("main")


@pytest.mark.requirement("origins:own")
def test_a_pages_cookies_and_service_worker_are_its_own(sites: Sites) -> None:
    sites.open(sites.shop)
    sites.attack("(document.cookie = 'cart=full; Path=/')")
    assert sites.attack("fetch('/').then(answer => answer.text())").count("<h1>full</h1>") == 1
    assert "seen=1" in sites.attack("document.cookie")
    assert "codewords" not in sites.attack("document.cookie"), "the session is no script's"
    assert sites.attack("fetch('/cookies').then(answer => answer.json())") == {"cart": "full", "seen": "1"}
    assert (
        sites.attack(
            "navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready).then(() => 'ready')"
        )
        == "ready"
    )
    assert (
        sites.attack(
            "navigator.serviceWorker.getRegistrations().then(all => Promise.all(all.map(one => one.unregister()))).then(all => all.length)"
        )
        == 1
    )


@pytest.mark.requirement("origins:hostile")
def test_a_hostile_page_reaches_neither_the_console_nor_another_workflow(sites: Sites) -> None:
    before = sites.runs()
    result = sites.attack(_ATTACKS)
    assert result == {
        "consoleApi": "refused", "consoleRead": "refused", "consoleEvents": "refused", "shopRead": "refused",
        "consoleFrame": "closed", "shopFrame": "closed", "answerFrame": "closed",
        "shopSocket": "refused", "consoleSocket": "refused", "foreignWorker": "refused",
    }  # fmt: skip
    assert sites.runs() == before, "nothing ran, whatever was sent"

    # Its person is still signed in everywhere, with the cookies that were there.
    sites.console.open("/console/settings")
    sites.open(sites.shop)
    assert "evil" not in json.dumps(sites.attack("fetch('/cookies').then(answer => answer.json())"))


@pytest.mark.requirement("origins:hostile")
def test_a_window_that_a_hostile_page_opens_is_out_of_its_hands(sites: Sites) -> None:
    for target in (f"{sites.origin(sites.shop)}/order", f"{sites.console.served.url}/console/settings"):
        before = sites.runs()
        opened = f"""(async () => {{
            const opened = open({json.dumps(target)});
            for (let turn = 0; turn < 200 && !opened.closed; turn += 1) await new Promise((done) => setTimeout(done, 50));
            opened.postMessage("drive", "*");
            return opened.closed;
        }})()"""
        assert sites.attack(opened, userGesture=True) is True, "its handle of the window is cut off"
        assert sites.runs() == before
        for tab in _targets(sites.console):
            if tab["url"].startswith(target):
                sites.console.tab.do("Target.closeTarget", targetId=tab["targetId"])


@pytest.mark.requirement("origins:hostile")
def test_a_hostile_page_that_leads_to_another_workflow_runs_nothing(sites: Sites) -> None:
    before = sites.runs()
    target = f"{sites.origin(sites.shop)}/order?all=1"
    sites.attack(f"(setTimeout(() => (location.href = {json.dumps(target)})), true)")
    sites.arrives(target)
    sites.console.sees("h1", "Another site led here")
    assert sites.runs() == before
    sites.console.click("a.button", "Go on")
    until(lambda: sites.runs() == before + 1, "its person wanted it")


@pytest.mark.requirement("origins:hostile")
def test_on_the_consoles_origin_an_answer_sets_no_cookie_and_is_no_service_worker(sites: Sites) -> None:
    sites.console.open("/console/settings")
    own = "headers: {'X-Codewords-Console': '1'}"
    port = sites.console.served.url.rpartition(":")[2]
    names = f"codewords_session_{port}+cart"
    got = sites.attack(
        f"fetch('/run/{sites.hostile}/cookies?names={names}', {{{own}}}).then(answer => answer.status)"
    )
    assert got == 200
    assert sites.attack(f"fetch('/sessions', {{{own}}}).then(answer => answer.status)") == 200
    assert sites.attack("document.cookie") == ""
    worker = f"navigator.serviceWorker.register('/run/{sites.hostile}/sw.js', {{scope: '/'}}).then(() => 'registered', () => 'refused')"
    assert sites.attack(worker) == "refused"


def _targets(console: Console) -> list[dict[str, Any]]:
    return list(console.tab.do("Target.getTargets")["targetInfos"])


def _addresses(console: Console) -> set[str]:
    return {target["url"] for target in _targets(console)}
