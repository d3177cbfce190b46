"""Programs that serve, in the ways people write them, and the one socket that reaches them all."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.sandbox_programs import HELLO, running, specification

from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef, Exit

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:serve")]

TINY = """
    import os, sys
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"served"})
"""
WAYS = {
    "uvicorn.run(app)": "uvicorn.run(app, host='0.0.0.0', port=int(os.environ['PORT']))",
    "positional": "uvicorn.run(app)",
    "by name": "uvicorn.run('main:app', port=int(os.environ['PORT']))",
    "Server": "import asyncio; asyncio.run(uvicorn.Server(uvicorn.Config(app, '127.0.0.1', int(os.environ['PORT']))).serve())",
    "reload and workers": "uvicorn.run('main:app', port=int(os.environ['PORT']), reload=True, workers=4)",
    "unix socket": "uvicorn.run(app, uds='/tmp/other.sock', port=int(os.environ['PORT']))",
}
HYPERCORN = """
        import asyncio
        from hypercorn.asyncio import serve
        from hypercorn.config import Config
        config = Config()
        config.bind = [os.environ["ADDRESS"] + ":" + os.environ["PORT"]]
        asyncio.run(serve(app, config))
"""
HTTP_SERVER = """
    import os
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *args): pass

    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


async def test_a_fastapi_workflow_answers(driver: Driver, environment: EnvironmentRef) -> None:
    async with running(driver, specification(environment, HELLO)) as program:
        await program.sandbox.wait_ready()
        status, body = await program.ask(data={"name": "Ada"})
    assert (status, json.loads(body)) == (200, {"greeting": "Hello, Ada!"})
    assert "Uvicorn running" in program.stderr


async def test_a_request_sent_before_the_program_listens_waits_for_it(
    driver: Driver, environment: EnvironmentRef
) -> None:
    async with running(driver, specification(environment, HELLO)) as program:
        assert (await program.ask(data={"name": "Ada"}))[0] == 200


@pytest.mark.parametrize("way", WAYS)
async def test_uvicorn_serves_however_it_is_called(
    driver: Driver, environment: EnvironmentRef, way: str
) -> None:
    code = f"{TINY}\n    if __name__ == '__main__':\n        import uvicorn\n        {WAYS[way]}\n"
    async with running(driver, specification(environment, code)) as program:
        await program.sandbox.wait_ready()
        assert await program.ask("GET") == (200, b"served")


async def test_a_port_named_otherwise_is_served_all_the_same_and_said(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = f"{TINY}\n    import uvicorn\n    uvicorn.run(app, port=5000)\n"
    async with running(driver, specification(environment, code)) as program:
        await program.sandbox.wait_ready()
        assert await program.ask("GET") == (200, b"served")
    assert program.platform == "The workflow asked for port 5000; it is served on PORT (8000) all the same.\n"


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "[::]", "[::1]"])
async def test_a_server_that_binds_the_port_itself_is_reached(
    driver: Driver, environment: EnvironmentRef, address: str
) -> None:
    spec = specification(
        environment, f"{TINY}\n    if __name__ == '__main__':\n{HYPERCORN}", env={"ADDRESS": address}
    )
    async with running(driver, spec) as program:
        await program.sandbox.wait_ready()
        assert await program.ask("GET") == (200, b"served")


async def test_a_server_in_a_child_process_is_reached(driver: Driver, environment: EnvironmentRef) -> None:
    code = f"""{TINY}
    if __name__ == "__main__":
        import subprocess
        subprocess.run([sys.executable, "-m", "uvicorn", "main:app", "--port", os.environ["PORT"]])
    """
    async with running(driver, specification(environment, code)) as program:
        await program.sandbox.wait_ready()
        assert await program.ask("GET") == (200, b"served")


async def test_a_large_body_goes_both_ways_over_a_port(driver: Driver, environment: EnvironmentRef) -> None:
    data = "x" * (8 << 20)
    async with running(driver, specification(environment, HTTP_SERVER)) as program:
        await program.sandbox.wait_ready()

        async def body():
            yield json.dumps(data).encode()

        headers = [(b"content-length", b"%d" % (len(data) + 2))]
        reply = await http1.request(program.sandbox.socket_path, "POST", b"/", headers, body())
        assert json.loads(b"".join([chunk async for chunk in reply.body])) == data


async def test_many_requests_at_once_go_over_a_port(driver: Driver, environment: EnvironmentRef) -> None:
    code = f"{TINY}\n    if __name__ == '__main__':\n{HYPERCORN}"
    async with running(driver, specification(environment, code, env={"ADDRESS": "127.0.0.1"})) as program:
        await program.sandbox.wait_ready()
        answers = await asyncio.gather(*(program.ask("GET") for _ in range(50)))
    assert answers == [(200, b"served")] * 50


async def test_an_answer_streams_as_it_is_made(driver: Driver, environment: EnvironmentRef) -> None:
    code = """
    import asyncio, os, uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse
    app = FastAPI()
    go_on = asyncio.Event()
    async def parts():
        yield b"first"
        await go_on.wait()
        yield b"second"
    @app.get("/")
    async def stream(): return StreamingResponse(parts())
    @app.get("/go")
    async def go(): go_on.set()
    uvicorn.run(app, port=8000)
    """
    async with running(driver, specification(environment, code)) as program:
        reply = await http1.request(program.sandbox.socket_path, "GET", b"/", [], None)
        parts = reply.body
        assert await anext(parts) == b"first"
        await program.ask("GET", b"/go")
        assert await anext(parts) == b"second"
        await reply.aclose()


@pytest.mark.requirement("sandbox:script")
async def test_the_script_is_main_as_python_itself_runs_it(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = """
    import json, multiprocessing, os, pickle, sys
    import __main__

    class Mine: pass
    def double(x): return 2 * x

    if __name__ == "__main__":
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            doubled = pool.map(double, [1, 2])
        with open(__file__) as file:
            own = "def double" in file.read()
        print(json.dumps({
            "argv": sys.argv, "path": sys.path[0], "cwd": os.getcwd(), "file": __file__, "main": __main__.Mine is Mine,
            "pickle": type(pickle.loads(pickle.dumps(Mine()))) is Mine, "doubled": doubled, "own": own,
            "spec": __spec__, "package": __package__,
        }))
    """
    async with running(driver, specification(environment, code)) as program:
        assert await program.ended() == Exit("exited", code=0), program.stderr
    assert json.loads(program.stdout) == {
        "argv": ["/app/main.py"], "path": "/app", "cwd": "/app", "file": "/app/main.py", "main": True, "pickle": True,
        "doubled": [2, 4], "own": True, "spec": None, "package": None,
    }  # fmt: skip


@pytest.mark.requirement("sandbox:environment")
async def test_the_environment_is_what_the_spec_says_and_little_else(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    spec = specification(environment, code, env={"LOGLEVEL": "DEBUG", "UNICODE": "päper 🎈"}, port=8123)
    async with running(driver, spec) as program:
        await program.ended()
    seen = json.loads(program.stdout)
    seen.pop("LD_LIBRARY_PATH", None)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        seen.pop(name, None)  # where the kernel cannot redirect
    assert seen == {
        "PATH": "/env/bin:/usr/local/bin:/usr/bin:/bin", "HOME": "/app", "TMPDIR": "/tmp", "LANG": "C.UTF-8",
        "PORT": "8123", "FORWARDED_ALLOW_IPS": "*", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0", "LOGLEVEL": "DEBUG", "UNICODE": "päper 🎈",
    }  # fmt: skip
