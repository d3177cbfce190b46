"""Programs whose reach is hard to read, and what is right for each: as (title, code, manifest, header lines).

What the manifest names beside the default is given; all else must be empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HEADER = """# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi"]
# [tool.env-checker]
# env_vars = [{env}]
# [tool.codewords]
{tool}# ///
"""
ANY = ("*",)


@dataclass(frozen=True)
class Program:
    """`expected`: fields of the manifest that are not empty. `env`: variables of the header."""

    title: str
    code: str
    expected: dict[str, Any] = field(default_factory=dict[str, Any])
    env: tuple[str, ...] = ()
    tool: tuple[str, ...] = ()


def hosts(*names: str) -> dict[str, Any]:
    return {"hosts": names}


def anywhere(*lines: int) -> dict[str, Any]:
    return {"hosts": ANY, "open_lines": lines}


PROGRAMS = [
    Program("a constant", 'import httpx\nhttpx.get("https://api.example.com/v1")', hosts("api.example.com")),
    Program(
        "itself, by an id that has a default elsewhere",
        'import os\nfrom codewords_client import AsyncCodewordsClient\nSELF = os.environ.get("SERVICE_ID", "")\n'
        "async def f():\n    await AsyncCodewordsClient().run(SELF, {})",
    ),
    Program(
        "addresses of IPv6, with brackets and without",
        'import socket, httpx\nsocket.create_connection(("2001:db8::7", 443))\nhttpx.get("https://[2001:db8::8]:8443/")',
        hosts("2001:db8::7", "2001:db8::8"),
    ),
    Program(
        "strings that are added",
        'import requests\nHOST = "api." + "example" + ".com"\nrequests.post("https://" + HOST + "/x", json={})',
        hosts("api.example.com"),
    ),
    Program(
        "an f-string with a constant host",
        'import httpx\nasync def f(c: httpx.AsyncClient, user):\n    await c.get(f"https://api.example.com/u/{user}?q={user}")',
        hosts("api.example.com"),
    ),
    Program(
        "a subdomain that the input gives",
        'import httpx\ndef f(shop):\n    httpx.get(f"https://{shop}.myshop.example.com/admin")',
        hosts("*.myshop.example.com"),
    ),
    Program(
        "a domain that the input gives",
        'import httpx\ndef f(domain):\n    httpx.get(f"https://api.{domain}/v1")',
        anywhere(3),
    ),
    Program(
        "a host that the path follows without a slash",
        'import httpx\ndef f(path):\n    httpx.get(f"https://api.example.com{path}")',
        hosts("api.example.com"),
    ),
    Program(
        "an alias of the module and of the function",
        'import httpx as h\nfetch = h.get\nload = fetch\nload("https://a.example.com")',
        hosts("a.example.com"),
    ),
    Program(
        "a function imported under another name",
        'from urllib.request import urlopen as o, Request as R\no(R("https://b.example.com/x", method="POST"))',
        hosts("b.example.com"),
    ),
    Program(
        "a wildcard import",
        'from httpx import *\nwith Client(base_url="https://c.example.com") as c:\n    c.get("/x")\npost("https://d.example.com")',
        hosts("c.example.com", "d.example.com"),
    ),
    Program(
        "a URL of a required variable",
        'import os, httpx\nhttpx.get(os.environ["API_URL"] + "/items")',
        {"addresses": ("API_URL",), "secrets": ("API_URL",)},
        env=("API_URL",),
    ),
    Program(
        "a URL of a variable with a default in the header",
        'import os, httpx\nhttpx.get(os.getenv("API_URL", "https://other.example.com") + "/items")',
        hosts("api.example.com", "other.example.com"),
        env=("API_URL=https://api.example.com/v2",),
    ),
    Program(
        "a URL of a variable that nobody declares, with a default in the code",
        'from os import environ as e\nimport httpx\nhttpx.get(e.get("API_URL", "https://api.example.com"))',
        hosts("api.example.com"),
    ),
    Program(
        "a URL of the input model",
        "import httpx\nfrom fastapi import FastAPI\nfrom pydantic import BaseModel, HttpUrl\napp = FastAPI()\n"
        "class In(BaseModel):\n    url: HttpUrl\n@app.post('/')\nasync def f(r: In):\n    httpx.get(str(r.url))",
        anywhere(9),
    ),
    Program(
        "a URL of the input, declared in the header",
        "import httpx\ndef f(url):\n    httpx.get(url)",
        hosts("*.example.com", "api.github.com"),
        tool=('hosts = ["api.github.com", "*.example.com"]',),
    ),
    Program(
        "URLs of a dict, by a key of the input",
        'import httpx\nAPIS = {"a": "https://a.example.com", "b": "https://b.example.com"}\ndef f(k):\n    httpx.get(APIS[k] + "/x")',
        hosts("a.example.com", "b.example.com"),
    ),
    Program(
        "one URL of a dict, by its key",
        'import httpx\nAPIS = {"a": "https://a.example.com", "b": "https://b.example.com"}\nhttpx.get(APIS["b"])',
        hosts("b.example.com"),
    ),
    Program(
        "a dict with a default of the input",
        'import httpx\nAPIS = {"a": "https://a.example.com"}\ndef f(k):\n    httpx.get(APIS.get(k, "https://z.example.com"))',
        hosts("a.example.com", "z.example.com"),
    ),
    Program(
        "a loop over pairs",
        'import httpx\nfor name, url in {"a": "https://a.example.com"}.items():\n    httpx.get(url)\n'
        'for i, u in enumerate(["https://b.example.com"]):\n    httpx.get(u)\nfor n, v in [("c", "https://c.example.com")]:\n    httpx.get(v)',
        hosts("a.example.com", "b.example.com", "c.example.com"),
    ),
    Program(
        "a list that is filled later",
        'import httpx\nurls = []\ndef add():\n    urls.append("https://a.example.com")\n    urls.append("https://b.example.com")\n'
        "def go():\n    return [httpx.get(u) for u in urls]",
        hosts("a.example.com", "b.example.com"),
    ),
    Program(
        "a helper that is given constants",
        'import httpx\ndef load(url, path=""):\n    return httpx.get(url + path)\nload("https://a.example.com")\nload(path="/x", url="https://b.example.com")',
        hosts("a.example.com", "b.example.com"),
    ),
    Program(
        "a helper that is also given to something",
        'import httpx\ndef load(url):\n    return httpx.get(url)\nload("https://a.example.com")\nregister(load)',
        anywhere(3),
    ),
    Program(
        "a helper that a thread calls",
        'import asyncio, httpx\ndef load(url):\n    return httpx.get(url)\nasync def f():\n    await asyncio.to_thread(load, "https://a.example.com")\n'
        'list(map(load, ["https://b.example.com"]))',
        hosts("a.example.com", "b.example.com"),
    ),
    Program(
        "a library's function that a thread calls",
        'import asyncio, requests, functools\nasync def f():\n    await asyncio.to_thread(requests.get, "https://a.example.com")\n'
        'get = functools.partial(requests.request, "GET")\nget("https://b.example.com")\nlist(map(requests.get, ("https://c.example.com",)))',
        hosts("a.example.com", "b.example.com", "c.example.com"),
    ),
    Program(
        "a redirect that is followed by hand",
        'import httpx\ndef follow(url):\n    r = httpx.get(url)\n    return httpx.get(r.headers["location"])\nfollow("https://a.example.com")',
        anywhere(4),
    ),
    Program(
        "pages that name the next",
        'import httpx\ndef all():\n    url = "https://api.example.com/items"\n    while url:\n        page = httpx.get(url).json()\n        url = page["next"]',
        anywhere(5),
    ),
    Program(
        "a client with a base URL and relative paths of the input",
        'import httpx\nasync def f(path):\n    async with httpx.AsyncClient(base_url="https://api.example.com/") as c, c.stream("GET", path) as r:\n'
        '        await c.post(f"/x/{path}")',
        hosts("api.example.com"),
    ),
    Program(
        "aiohttp with a base URL and a websocket elsewhere",
        'import aiohttp\nasync def f():\n    async with aiohttp.ClientSession("https://api.example.com") as s:\n        await s.get("/x")\n'
        '        await s.ws_connect("wss://live.example.com/feed")',
        hosts("api.example.com", "live.example.com"),
    ),
    Program(
        "a client that an object keeps",
        'import httpx\nclass Api:\n    BASE = "https://api.example.com"\n    def __init__(self, token):\n        self.http = httpx.Client()\n'
        '        self.token = token\n    def load(self, path):\n        return self.http.get(f"{self.BASE}/{path}")\nApi("x").load("y")',
        hosts("api.example.com"),
    ),
    Program(
        "an address that an object is made with",
        'import requests\nclass Api:\n    def __init__(self, base, timeout=3):\n        self.base = base.rstrip("/")\n    def load(self):\n'
        '        return requests.get(f"{self.base}/x")\nApi("https://one.example.com/").load()\nApi(base="https://two.example.com").load()',
        hosts("one.example.com", "two.example.com"),
    ),
    Program(
        "a subclass of a client",
        'import httpx\nclass Api(httpx.AsyncClient):\n    async def me(self):\n        return await self.get("https://api.example.com/me")',
        hosts("api.example.com"),
    ),
    Program(
        "format, percent and join",
        'import httpx\nV = "v2"\nhttpx.get("https://{}/{v}".format("a.example.com", v=V))\nhttpx.get("https://%s/%s" % ("b.example.com", V))\n'
        'httpx.get("/".join(["https://c.example.com", V]))\nfrom urllib.parse import urljoin\nhttpx.get(urljoin("https://d.example.com/a/", V))',
        hosts("a.example.com", "b.example.com", "c.example.com", "d.example.com"),
    ),
    Program(
        "an address that grows",
        'import httpx\ndef f(q):\n    url = "https://a.example.com/search"\n    url += "?q=" + q\n    httpx.get(url)',
        hosts("a.example.com"),
    ),
    Program(
        "a choice",
        'import httpx\ndef f(test):\n    base = "https://sandbox.example.com" if test else "https://live.example.com"\n    httpx.get(base or "https://c.example.com")',
        hosts("c.example.com", "live.example.com", "sandbox.example.com"),
    ),
    Program(
        "an enumeration and settings",
        'import httpx\nfrom enum import Enum\nfrom pydantic_settings import BaseSettings\nclass Where(Enum):\n    EU = "https://eu.example.com"\n'
        'class S(BaseSettings):\n    api_url: str = "https://api.example.com"\ns = S()\nhttpx.get(Where.EU.value)\nhttpx.get(s.api_url)',
        hosts("api.example.com", "eu.example.com"),
    ),
    Program(
        "modules by name",
        'import importlib\nr = importlib.import_module("requests")\ngetattr(r, "get")("https://a.example.com")\n__import__("httpx").get("https://b.example.com")',
        hosts("a.example.com", "b.example.com"),
    ),
    Program(
        "an address that is decoded",
        'import base64, httpx\nhttpx.get(base64.b64decode("aHR0cHM6Ly9ldmlsLmV4YW1wbGU=").decode())',
        anywhere(2),
    ),
    Program(
        "URLs that are only mentioned",
        'import httpx\nfrom fastapi import FastAPI\nfrom fastapi.middleware.cors import CORSMiddleware\napp = FastAPI(description="see https://docs.example.com")\n'
        'app.add_middleware(CORSMiddleware, allow_origins=["https://app.example.com"])\nLINK = "https://unused.example.com"\ndata = {}\ndata.get(LINK)\n'
        "print(LINK)",
        {},
    ),
    Program(
        "a user name before the host",
        'import httpx\nhttpx.get("https://api.good.example@evil.example.com/x")\nhttpx.get("https://evil2.example.com\\\\@good.example")',
        hosts("evil.example.com", "evil2.example.com"),
    ),
    Program(
        "an app that is asked inside",
        "import httpx\nfrom httpx import ASGITransport\nfrom fastapi import FastAPI\napp = FastAPI()\nasync def f(x):\n"
        '    async with httpx.AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as c:\n        await c.get(x)\n'
        '    httpx.get("http://localhost:9000/x")',
        {},
    ),
    Program(
        "databases, by DSN, by host and by variable",
        'import os, asyncpg, redis, pymongo\nfrom sqlalchemy import create_engine\nasyncpg.connect("postgresql://u:p@db.example.com:5432/x")\n'
        'redis.Redis(host="cache.example.com", port=6379)\ncreate_engine("sqlite:///x.db")\nasyncpg.create_pool(dsn=os.environ["DATABASE_URL"])\n'
        'pymongo.MongoClient("mongodb://m1.example.com:27017,m2.example.com/x")',
        {
            "hosts": ("cache.example.com", "db.example.com", "m1.example.com", "m2.example.com"),
            "addresses": ("DATABASE_URL",),
            "secrets": ("DATABASE_URL",),
        },
        env=("DATABASE_URL",),
    ),
    Program(
        "a DSN with a password of a variable",
        "import os, psycopg\npsycopg.connect(f\"postgresql://app:{os.environ['DB_PASSWORD']}@db.example.com/x\")\n"
        'psycopg.connect("host=other.example.com port=5432 dbname=x")',
        {"hosts": ("db.example.com", "other.example.com"), "secrets": ("DB_PASSWORD",)},
        env=("DB_PASSWORD",),
    ),
    Program(
        "mail and sockets",
        'import os, smtplib, imaplib, socket, asyncio\nwith smtplib.SMTP_SSL("smtp.example.com", 465) as s:\n    pass\nimaplib.IMAP4_SSL(host="imap.example.com")\n'
        'socket.create_connection(("raw.example.com", 80))\ns = socket.socket()\ns.connect(("s.example.com", 1))\nsmtplib.SMTP(os.environ.get("SMTP_HOST"))',
        {
            "hosts": ("imap.example.com", "raw.example.com", "s.example.com", "smtp.example.com"),
            "addresses": ("SMTP_HOST",),
            "secrets": ("SMTP_HOST",),
        },
        env=("SMTP_HOST",),
    ),
    Program(
        "SDKs that know their hosts",
        'import os, stripe\nfrom slack_sdk.web.async_client import AsyncWebClient\nstripe.api_key = os.environ["STRIPE_API_KEY"]\nstripe.Charge.create(amount=1)\n'
        "async def f(t):\n    await AsyncWebClient(token=t).chat_postMessage(channel='c')",
        {
            "hosts": ("*.slack.com", "api.stripe.com", "files.stripe.com", "slack.com"),
            "secrets": ("STRIPE_API_KEY",),
        },
        env=("STRIPE_API_KEY",),
    ),
    Program(
        "model providers' SDKs through the gateway",
        "import anthropic\nfrom openai import AsyncOpenAI\nfrom google import genai\nasync def f():\n    AsyncOpenAI()\n    anthropic.Anthropic()\n    genai.Client()",
        {"models": ("anthropic", "gemini", "openai")},
        env=("OPENAI_API_KEY",),
    ),
    Program(
        "the openai SDK for somebody else, and past the gateway",
        'import os\nfrom openai import OpenAI\nOpenAI(base_url="https://api.deepseek.com/v1", api_key=os.environ["DEEPSEEK_KEY"])\n'
        'OpenAI(api_key=os.environ["MY_KEY"])\nOpenAI(base_url=f"{os.environ[\'CODEWORDS_RUNTIME_URI\']}/run/openai/v1")',
        {
            "hosts": ("api.deepseek.com", "api.openai.com"),
            "models": ("openai",),
            "secrets": ("DEEPSEEK_KEY", "MY_KEY"),
        },
        env=("DEEPSEEK_KEY", "MY_KEY", "CODEWORDS_RUNTIME_URI"),
    ),
    Program(
        "the gateway by hand",
        'import os, httpx\nBASE = os.environ.get("CODEWORDS_RUNTIME_URI", "http://127.0.0.1:8765")\nhttpx.post(f"{BASE}/run/openai/v1/chat/completions")\n'
        'httpx.post(BASE + "/anthropic/v1/messages")\nhttpx.post(BASE + "/run/firecrawl/", json={})\nhttpx.post("http://127.0.0.1:8765/run/other_flow_0a1b2c3d/")',
        {
            "models": ("anthropic", "openai"),
            "services": ("firecrawl: scrape",),
            "pages": ANY,
            "workflows": ("other_flow_0a1b2c3d",),
        },
        env=("CODEWORDS_RUNTIME_URI",),
    ),
    Program(
        "a client of the runtime's own address",
        'import os, httpx\ndef f(data):\n    with httpx.Client(base_url=os.environ["RUNTIME_URI"]) as c:\n'
        '        c.post("/openai/chat/completions")\n        c.post(f"/run/{data}/")',
        {"models": ("openai",), "services": ANY, "pages": ANY, "service_lines": (5,)},
    ),
    Program(
        "services by both spellings, and state",
        'from codewords_client import AsyncCodewordsClient as C, redis_client\nFLOW = "report_0a1b2c3d"\nasync def f(c):\n    async with C() as client, redis_client() as (r, ns):\n'
        '        await client.run("pipedream", inputs={"app": "slack", "action": "slack-list-channels"})\n'
        '        await c.run(service_id="pipedream", data={"app_slug": "gmail", "action_name": "send-email"})\n        await client.start_service(FLOW, {})',
        {
            "services": ("pipedream", "redis_coordinator"),
            "workflows": ("report_0a1b2c3d",),
            "actions": ("gmail: send-email (writes)", "slack: list-channels"),
        },
    ),
    Program(
        "a service that the input names",
        "from codewords_client import CodewordsClient\ndef f(which):\n    with CodewordsClient() as c:\n        c.run(which, {})",
        {"services": ANY, "pages": ANY, "service_lines": (4,)},
    ),
    Program(
        "a service that the input names, declared in the header",
        "from codewords_client import CodewordsClient\ndef f(which):\n    with CodewordsClient() as c:\n        c.run(which, {})",
        {"services": ("firecrawl",), "pages": ANY, "models": ("openai",), "workflows": ("a_0a1b2c3d",)},
        tool=('services = ["openai", "firecrawl", "a_0a1b2c3d"]',),
    ),
    Program(
        "schedules",
        'from codewords_client import CodewordsClient\ndef f(sid):\n    CodewordsClient().run("schedule_runs", data={"service_id": sid, "cron_expression": "0 9 * * *"})',
        {"schedules": ("0 9 * * *",), "workflows": ANY},
    ),
    Program(
        "a schedule of a workflow that the code names, and of itself",
        'import os\nfrom codewords_client import CodewordsClient\nCodewordsClient().run("schedule_runs", data={"service_id": "a_0a1b2c3d", "cron": "@daily"})\n'
        'CodewordsClient().run("schedule_runs", data={"service_id": os.environ["SERVICE_ID"], "cron": "@daily"})',
        {"schedules": ("@daily",), "workflows": ("a_0a1b2c3d",)},
    ),
    Program(
        "a page that the code names, read by a service",
        'from codewords_client import CodewordsClient\nCodewordsClient().run("webpage_to_markdown", inputs={"url": "https://docs.example/a"})',
        {"services": ("webpage_to_markdown",), "pages": ("docs.example",)},
    ),
    Program(
        "a page that the input names, read by a service",
        'from codewords_client import CodewordsClient\ndef f(url):\n    CodewordsClient().run("webpage_to_markdown", inputs={"url": url})',
        {"services": ("webpage_to_markdown",), "pages": ANY},
    ),
    Program(
        "a page that a browser builds loads what it names",
        'from codewords_client import CodewordsClient\nCodewordsClient().run("webpage_to_markdown", inputs={"url": "https://docs.example/a", "render": True})',
        {"services": ("webpage_to_markdown",), "pages": ANY},
    ),
    Program(
        "a list of hosts in the header holds for services too",
        'from codewords_client import CodewordsClient\ndef f(url):\n    CodewordsClient().run("webpage_to_markdown", inputs={"url": url})',
        {"services": ("webpage_to_markdown",), "hosts": ("docs.example",)},
        tool=('hosts = ["docs.example"]',),
    ),
    Program(
        "an integration whose action the input names",
        'from codewords_client import CodewordsClient\ndef f(a):\n    CodewordsClient().run("pipedream", data={"app": "hubspot", "action": a})',
        {
            "services": ("pipedream",),
            "actions": ("hubspot: any action (writes)",),
            "connections": ("hubspot",),
        },
        env=("PIPEDREAM_HUBSPOT_ACCESS",),
    ),
    Program(
        "a package that nobody knows",
        "import obscure_vendor.api\nobscure_vendor.api.Client().fetch()",
        {"unread": ("obscure_vendor",)},
    ),
    Program(
        "a closed list that leaves out what the code names",
        'import httpx\nhttpx.get("https://a.example.com")\nhttpx.get("https://b.example.com")',
        hosts("a.example.com"),
        tool=('egress = ["a.example.com"]',),
    ),
    Program(
        "a program that is started with a URL",
        'import subprocess\nsubprocess.run(["curl", "-s", "https://a.example.com/x"], check=True)',
        hosts("a.example.com"),
    ),
    Program(
        "tables and feeds",
        'import io, pandas as pd, feedparser\npd.read_csv("https://data.example.com/x.csv")\npd.read_csv("/tmp/x.csv")\nfeedparser.parse("https://feed.example.com/rss")\n'
        "def f(path):\n    pd.read_csv(io.StringIO(path))",
        hosts("data.example.com", "feed.example.com"),
    ),
    Program(
        "names that go round in a circle",
        'import httpx\na = b\nb = a\ndef f(x):\n    return g(x)\ndef g(x):\n    return f(x)\nhttpx.get(f("https://a.example.com"))\nhttpx.get(a)',
        anywhere(8, 9),
    ),
    Program(
        "an international name",
        'import httpx\nhttpx.get("https://bücher.example/x")',
        hosts("xn--bcher-kva.example"),
    ),
    Program(
        "an address of numbers",
        'import httpx\nhttpx.get("http://93.184.216.34:8080/")\nhttpx.get("http://[2001:4860::8888]/")',
        hosts("2001:4860::8888", "93.184.216.34"),
    ),
]
