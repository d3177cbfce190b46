"""Measures a call through the broker of MCP servers, and whether a search finds the right one of 3,000 tools.

A call: `Integrations.call_tool` of a runtime beside the same call by a client of the SDK that keeps its session, to one server
in a process of its own. They take turns. A search: 100 plain questions (`mcp_queries.txt`, written before the search was
tuned) over 200 servers. 95 are real ones with tools by their own names (`mcp_servers.txt`); tools and servers are generated
around these. --misses prints the questions that were missed.

    python benchmarks/mcp_broker.py [--quick] [--json] [--misses]
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from _bench import Question, clean_environment, options, report
from integration_search import ask_peer
from mcp import Client

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.integrations.mcp.index import build_tool_index
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.mcp import PREFIX, AgreedTool, McpServer, ServerTool
from codewords_mcp.settings import Settings

FOLDER = Path(__file__).parent
SERVERS, TOOLS, TOP = 200, 3_000, 3
WARM_UP = 20
_SERVER = """
import sys
import uvicorn
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare", version="1", log_level="ERROR")
@server.tool()
async def add(left: int, right: int) -> int:
    "Add two numbers."
    return left + right
uvicorn.run(server.streamable_http_app(), port=int(sys.argv[1]), log_level="error", access_log=False)
"""
_DOMAINS = {
    "crm": ("lead", "account", "opportunity"),
    "billing": ("charge", "plan", "statement"),
    "helpdesk": ("case", "queue", "macro"),
    "wiki": ("article", "space", "revision"),
    "chat": ("room", "reply", "mention"),
    "calendar": ("slot", "invitation", "booking"),
    "files": ("folder", "version", "share"),
    "analytics": ("report", "funnel", "cohort"),
    "monitoring": ("check", "outage", "probe"),
    "deploys": ("release", "rollout", "pipeline"),
    "inventory": ("stock", "warehouse", "supplier"),
    "payroll": ("payslip", "employee", "bonus"),
    "recruiting": ("candidate", "interview", "offer"),
    "surveys": ("survey", "answer", "panel"),
    "newsletter": ("campaign", "subscriber", "template"),
    "bookings": ("reservation", "table", "guest"),
    "shipping": ("parcel", "label", "carrier"),
    "contracts": ("contract", "clause", "signature"),
    "translation": ("glossary", "segment", "language"),
    "maps": ("route", "layer", "region"),
    "podcasts": ("episode", "show", "host"),
    "photos": ("album", "photo", "face"),
    "recipes": ("recipe", "ingredient", "menu"),
    "fitness": ("workout", "goal", "measurement"),
    "banking": ("transfer", "statement", "card"),
    "insurance": ("policy", "claim", "premium"),
    "estate": ("listing", "viewing", "tenant"),
    "school": ("course", "grade", "student"),
    "library": ("book", "loan", "reader"),
    "events": ("ticket", "venue", "speaker"),
    "forum": ("thread", "member", "badge"),
    "calls": ("call", "voicemail", "extension"),
    "vault": ("password", "item", "group"),
    "network": ("device", "port", "firewall"),
    "print": ("job", "printer", "tray"),
}
_BRANDS = ("nova", "tern", "quill")
_VERBS = (
    "list",
    "get",
    "create",
    "update",
    "delete",
    "search",
    "export",
    "archive",
    "restore",
    "share",
    "count",
    "import",
)
_MORE_VERBS = (
    "export",
    "archive",
    "restore",
    "duplicate",
    "watch",
    "validate",
    "lock",
    "tag",
    "count",
    "compare",
    "link",
)


def real_servers() -> Iterator[tuple[McpServer, list[ServerTool]]]:
    lines = (FOLDER / "mcp_servers.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line and not line.startswith("#"):
            name, title, tools = (part.strip() for part in line.split("|", 2))
            pairs = [tool.strip().partition(": ")[::2] for tool in tools.split(";")]
            yield server(name, title), [ServerTool(name=tool, description=text) for tool, text in pairs]


def server(name: str, title: str) -> McpServer:
    return McpServer(name=name, url=f"https://{name}.example.com/mcp", title=title, agreed=True)


def catalogue() -> tuple[list[McpServer], list[AgreedTool]]:
    """200 servers with 3,000 tools."""
    found = list(real_servers())
    names = [f"{brand}_{domain}" for domain, brand in itertools.product(_DOMAINS, _BRANDS)]
    for name in names[: SERVERS - len(found)]:
        nouns = _DOMAINS[name.partition("_")[2]]
        pairs = itertools.islice(((verb, noun) for noun in nouns for verb in _VERBS), 14)
        found.append((server(name, name.replace("_", " ").title()), [generated(*pair) for pair in pairs]))

    tools = [AgreedTool(server=one, now=tool, agreed=tool) for one, of_one in found for tool in of_one]
    # Around the real ones: other verbs with the last words of their tools.
    known = {(tool.server.name, tool.now.name) for tool in tools if tool.now is not None}
    for verb, place, (one, of_one) in itertools.product(_MORE_VERBS, range(3), found[:95]):
        noun = of_one[place % len(of_one)].name.rpartition("_")[2]
        tool = generated(verb, noun)
        if len(tools) < TOOLS and (one.name, tool.name) not in known:
            known.add((one.name, tool.name))
            tools.append(AgreedTool(server=one, now=tool, agreed=tool))
    return [one for one, _ in found], tools


def generated(verb: str, noun: str) -> ServerTool:
    return ServerTool(name=f"{verb}_{noun}", description=f"{verb.title()} a {noun}")


def queries() -> list[tuple[str, set[str]]]:
    lines = (FOLDER / "mcp_queries.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("|")[::2] for line in lines if line and not line.startswith("#"))
    return [(query.strip(), {PREFIX + key for key in keys.split()}) for query, keys in pairs]


@contextmanager
def served() -> Generator[int]:
    """A server with one tool, in a process of its own; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", _SERVER, str(port)], env=clean_environment())
    try:
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


async def calls(port: int, rounds: int, per_round: int) -> tuple[list[float], list[float]]:
    """Median milliseconds of a call, (through the broker, direct), of each round; single calls take turns."""
    url = f"http://127.0.0.1:{port}/mcp"
    with tempfile.TemporaryDirectory() as home:
        settings = Settings.model_validate(
            {"home": Path(home), "port": 0, "egress_allow_private": [f"127.0.0.1:{port}"]}
        )
        async with Runtime.open(settings) as runtime, Client(url) as client:
            owner = Caller("local", "admin")
            found = await runtime.connections.connect_server(owner, url, name="bare", agree=True)
            integrations = runtime.integrations

            async def brokered() -> None:
                done = await integrations.call(owner, found.app, "add", {"left": 1, "right": 2})
                if done.ret != {"result": 3}:
                    raise ValueError(done.ret)

            async def direct() -> None:
                await client.call_tool("add", {"left": 1, "right": 2})

            mine: list[float] = []
            theirs: list[float] = []
            for number in range(rounds + 1):
                took: tuple[list[float], list[float]] = ([], [])
                for _ in range(per_round if number else WARM_UP):
                    for times, make in zip(took, (brokered, direct), strict=True):
                        began = time.perf_counter()
                        await make()
                        times.append((time.perf_counter() - began) * 1000)
                if number:
                    mine.append(statistics.median(took[0]))
                    theirs.append(statistics.median(took[1]))
            return mine, theirs


def measure(ask: Callable[[str], set[str]], *, show: bool) -> tuple[float, float]:
    """(milliseconds of a search, per cent of the questions with a right tool among the first three)."""
    times: list[float] = []
    found, questions = 0, queries()
    for query, right in questions:
        began = time.perf_counter()
        keys = ask(query)
        times.append((time.perf_counter() - began) * 1000)
        found += bool(right & keys)
        if show and not right & keys:
            print(f"{query!r}: {sorted(keys)}", file=sys.stderr)
    return statistics.median(times), 100 * found / len(questions)


def main() -> int:
    show = "--misses" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--misses"]
    chosen = options(__doc__ or "", runs=7, quick_runs=3)
    call = Question("a call of a tool", "the SDK's client, session kept", "ms", None, adds_at_most=3)
    with served() as port:
        call.ours, call.peer = asyncio.run(calls(port, chosen.runs, 30 if chosen.quick else 100))

    servers, tools = catalogue()
    hits = Question("right tool in the first three of 3,000", "SQLite FTS5, bm25", "%", None, at_least=95)
    speed = Question("a search of 3,000 tools", "SQLite FTS5, bm25", "ms", None, at_most=20)
    index, made = build_tool_index(servers, tools), peer(tools)
    for number in range(chosen.runs):
        mine = measure(
            lambda query: {hit.key for hit in index.search(query, TOP)[0]}, show=show and not number
        )
        theirs = measure(lambda query: set(ask_peer(made, query)), show=False)
        for place, question in enumerate((speed, hits)):
            question.ours.append(mine[place])
            question.peer.append(theirs[place])
    return report([call, hits, speed], chosen)


def peer(tools: list[AgreedTool]) -> sqlite3.Connection:
    made = sqlite3.connect(":memory:")
    made.execute(
        "CREATE VIRTUAL TABLE found USING fts5(key UNINDEXED, app, name, tokenize='porter unicode61')"
    )
    for tool in tools:
        now = tool.now
        if now is not None:
            name = f"{now.name.replace('_', ' ')} {now.description}"
            made.execute(
                "INSERT INTO found VALUES (?, ?, ?)",
                (f"{tool.server.app}/{now.name}", tool.server.title, name),
            )
    return made


if __name__ == "__main__":
    sys.exit(main())
