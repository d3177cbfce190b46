"""A site on loopback, with a page for each thing that steps do."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.support.waiting import until

FORM = """<!doctype html><html lang="en"><title>Form</title>
<h1>Order</h1>
<form action="/thanks" method="get">
  <label>Name <input name="name" value="old"></label>
  <label>Note <textarea name="note"></textarea></label>
  <label>Size <select name="size"><option value="s">Small</option><option value="l">Large</option></select></label>
  <label><input type="checkbox" name="gift"> Gift</label>
  <button>Send it</button>
</form>
<p id="heard"></p>
<a href="/list" target="_blank">The list</a>
<button id="later" disabled>Later</button>
<script>
  const heard = document.querySelector("#heard");
  document.querySelector("[name=name]").addEventListener("input", (e) => { heard.textContent = "heard " + e.target.value });
  document.addEventListener("keydown", (e) => { if (e.key === "Escape") heard.textContent = "escaped" });
  setTimeout(() => { document.querySelector("#later").disabled = false }, 300);
  document.querySelector("#later").addEventListener("click", () => { heard.textContent = "later" });
</script>"""
LIST = (
    """<!doctype html><title>List</title><style>li { height: 200px }</style><ul>"""
    + "".join(f'<li class="item"><a href="/item/{n}">Item {n}</a></li>' for n in range(12))
    + """</ul><div id="hidden" style="display: none">hidden</div>
<script>setTimeout(() => { document.body.insertAdjacentHTML("beforeend", '<p id="late">late</p>') }, 400)</script>"""
)
FRAMED = """<!doctype html><title>Outer</title><h1>Outside</h1><iframe src="/inner" title="Inner"></iframe>"""
INNER = (
    """<!doctype html><title>Inner</title><button onclick="this.textContent = 'Pressed'">Press me</button>"""
)
PAGES = {"/form": FORM, "/list": LIST, "/framed": FRAMED, "/inner": INNER}


class Site:
    """While it is entered. `asked` are the paths that were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self.let_go = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                path, _, query = self.path.partition("?")
                if path == "/slow":
                    site.let_go.wait(120)
                if path == "/elsewhere":
                    self.send_response(302)
                    self.send_header("Location", f"{site.url.replace('127.0.0.1', 'localhost')}/list")
                    self.end_headers()
                    return
                shown = f'<a href="{query}">{query}</a>'
                text = PAGES.get(path) or f"<!doctype html><title>{path[1:]}</title><p id=query>{shown}</p>"
                body = text.encode()
                self.send_response(404 if path == "/missing" else 200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                del format, args

        return Handler

    def was_asked(self, path: str) -> None:
        """Wait for a request."""
        until(lambda: any(asked.startswith(path) for asked in self.asked), f"a request for {path}", 20)
