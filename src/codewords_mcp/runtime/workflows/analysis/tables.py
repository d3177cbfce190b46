"""Calls of well-known packages that reach out, the position of their address, and the default hosts
of SDKs.

The packages' own documentation and source name the hosts (2026).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from codewords_mcp.runtime.model import service_table

VERBS = ("get", "options", "head", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class AddressArgument:
    """Position of a call's address: the positional argument, else the keywords; `base` is its
    client's own.

    form: a URL, or a host that may be a URL too. `otherwise` is reached without an address.
    """

    position: int | None
    keywords: tuple[str, ...] = ("url",)
    form: Literal["url", "host"] = "url"
    otherwise: tuple[str, ...] = ()


_URL0, _URL1 = AddressArgument(0), AddressArgument(1)
_HTTP = {**dict.fromkeys(VERBS, _URL0), "request": _URL1, "stream": _URL1}
_HTTP_MODULES = ("httpx", "httpx2", "requests", "niquests", "curl_cffi.requests", "aiohttp")
_HOST0 = AddressArgument(0, ("host", "hostname"), "host")

CLIENTS: dict[str, tuple[int | None, str]] = {
    "httpx.Client": (None, "base_url"),
    "httpx.AsyncClient": (None, "base_url"),
    "httpx2.Client": (None, "base_url"),
    "httpx2.AsyncClient": (None, "base_url"),
    "requests.Session": (None, "base_url"),
    "requests.session": (None, "base_url"),
    "requests.sessions.Session": (None, "base_url"),
    "niquests.Session": (None, "base_url"),
    "niquests.AsyncSession": (None, "base_url"),
    "curl_cffi.requests.Session": (None, "base_url"),
    "curl_cffi.requests.AsyncSession": (None, "base_url"),
    "aiohttp.ClientSession": (0, "base_url"),
    "cloudscraper.create_scraper": (None, "base_url"),
}
"""Classes whose methods make requests → (position, keyword) of the address that theirs are relative to."""

CLIENT_METHODS = _HTTP | {"ws_connect": _URL0, "build_request": _URL1, "_request": _URL1}
"""Methods of `CLIENTS`."""

OTHER_METHODS: dict[str, AddressArgument] = {
    "urllib3.PoolManager.request": _URL1,
    "urllib3.PoolManager.urlopen": _URL1,
    "socket.socket.connect": _HOST0,
    "paramiko.SSHClient.connect": AddressArgument(0, ("hostname",), "host"),
    "smtplib.SMTP.connect": _HOST0,
    "smtplib.SMTP_SSL.connect": _HOST0,
    "ftplib.FTP.connect": _HOST0,
    "playwright.async_api.Page.goto": _URL0,
    "playwright.sync_api.Page.goto": _URL0,
}
"""Methods of other instances, by class and name."""

CALLS: dict[str, AddressArgument] = {
    **{f"{module}.{verb}": address for module in _HTTP_MODULES for verb, address in _HTTP.items()},
    "urllib.request.urlopen": _URL0,
    "urllib.request.Request": _URL0,
    "urllib.request.urlretrieve": _URL0,
    "urllib3.request": _URL1,
    "http.client.HTTPConnection": _HOST0,
    "http.client.HTTPSConnection": _HOST0,
    "websockets.connect": AddressArgument(0, ("uri",)),
    "websockets.sync.client.connect": AddressArgument(0, ("uri",)),
    "websockets.asyncio.client.connect": AddressArgument(0, ("uri",)),
    "websocket.create_connection": _URL0,
    "websocket.WebSocketApp": _URL0,
    "httpx_sse.connect_sse": AddressArgument(2),
    "httpx_sse.aconnect_sse": AddressArgument(2),
    "socket.create_connection": AddressArgument(0, ("address",), "host"),
    "asyncio.open_connection": _HOST0,
    "anyio.connect_tcp": AddressArgument(0, ("remote_host",), "host"),
    "smtplib.SMTP": _HOST0,
    "smtplib.SMTP_SSL": _HOST0,
    "aiosmtplib.SMTP": AddressArgument(0, ("hostname",), "host"),
    "aiosmtplib.send": AddressArgument(None, ("hostname",), "host"),
    "imaplib.IMAP4": _HOST0,
    "imaplib.IMAP4_SSL": _HOST0,
    "imap_tools.MailBox": _HOST0,
    "poplib.POP3_SSL": _HOST0,
    "ftplib.FTP": _HOST0,
    "ftplib.FTP_TLS": _HOST0,
    "asyncssh.connect": _HOST0,
    "paramiko.Transport": AddressArgument(0, ("sock",), "host"),
    "asyncpg.connect": AddressArgument(0, ("dsn", "host"), "host"),
    "asyncpg.create_pool": AddressArgument(0, ("dsn", "host"), "host"),
    "psycopg.connect": AddressArgument(0, ("conninfo", "host"), "host"),
    "psycopg.AsyncConnection.connect": AddressArgument(0, ("conninfo", "host"), "host"),
    "psycopg.Connection.connect": AddressArgument(0, ("conninfo", "host"), "host"),
    "psycopg_pool.ConnectionPool": AddressArgument(0, ("conninfo",), "host"),
    "psycopg_pool.AsyncConnectionPool": AddressArgument(0, ("conninfo",), "host"),
    "psycopg2.connect": AddressArgument(0, ("dsn", "host"), "host"),
    "sqlalchemy.create_engine": _URL0,
    "sqlalchemy.ext.asyncio.create_async_engine": _URL0,
    "databases.Database": _URL0,
    "pymysql.connect": _HOST0,
    "aiomysql.connect": _HOST0,
    "aiomysql.create_pool": _HOST0,
    "mysql.connector.connect": AddressArgument(None, ("host",), "host"),
    "redis.Redis": _HOST0,
    "redis.StrictRedis": _HOST0,
    "redis.asyncio.Redis": _HOST0,
    "redis.from_url": _URL0,
    "redis.Redis.from_url": _URL0,
    "redis.asyncio.from_url": _URL0,
    "redis.asyncio.Redis.from_url": _URL0,
    "pymongo.MongoClient": AddressArgument(0, ("host",), "host"),
    "pymongo.AsyncMongoClient": AddressArgument(0, ("host",), "host"),
    "motor.motor_asyncio.AsyncIOMotorClient": AddressArgument(0, ("host",), "host"),
    "elasticsearch.Elasticsearch": AddressArgument(0, ("hosts",), "host"),
    "elasticsearch.AsyncElasticsearch": AddressArgument(0, ("hosts",), "host"),
    "feedparser.parse": AddressArgument(0, ("url_file_stream_or_string",)),
    # They read addresses as well as files.
    **{f"pandas.read_{kind}": AddressArgument(0, ("filepath_or_buffer", "path_or_buf", "path", "io"))
       for kind in ("csv", "json", "html", "excel", "parquet", "xml", "feather")},
    **{f"polars.read_{kind}": AddressArgument(0, ("source",)) for kind in ("csv", "json", "parquet", "excel")},
    "supabase.create_client": AddressArgument(0, ("supabase_url",)),
    "supabase.acreate_client": AddressArgument(0, ("supabase_url",)),
    "slack_sdk.webhook.WebhookClient": _URL0,
    "slack_sdk.webhook.async_client.AsyncWebhookClient": _URL0,
    "discord.Webhook.from_url": _URL0,
    "jira.JIRA": AddressArgument(0, ("server",), "host"),
    "qdrant_client.QdrantClient": AddressArgument(1, ("url", "host"), "host"),
    "mcp.client.streamable_http.streamablehttp_client": _URL0,
    "mcp.client.sse.sse_client": _URL0,
}  # fmt: skip
"""Functions and constructors → where the address that they reach stands."""

FILES = frozenset(name for name in CALLS if name.startswith(("pandas.", "polars.", "feedparser."))) | {
    "sqlalchemy.create_engine",
    "sqlalchemy.ext.asyncio.create_async_engine",
    "databases.Database",
}
"""Of these, those that take a path or text as well: only what has a scheme is an address."""

SDKS: dict[str, tuple[str, ...]] = {
    "slack_sdk": ("slack.com", "*.slack.com"),
    "slack_bolt": ("slack.com", "*.slack.com"),
    "stripe": ("api.stripe.com", "files.stripe.com"),
    "twilio": ("api.twilio.com",),
    "sendgrid": ("api.sendgrid.com",),
    "resend": ("api.resend.com",),
    "postmarker": ("api.postmarkapp.com",),
    "github": ("api.github.com",),
    "githubkit": ("api.github.com",),
    "gitlab": ("gitlab.com",),
    "notion_client": ("api.notion.com",),
    "pyairtable": ("api.airtable.com",),
    "hubspot": ("api.hubapi.com",),
    "asana": ("app.asana.com",),
    "trello": ("api.trello.com",),
    "todoist_api_python": ("api.todoist.com",),
    "shopify": ("*.myshopify.com",),
    "intercom": ("api.intercom.io",),
    "telegram": ("api.telegram.org",),
    "telebot": ("api.telegram.org",),
    "aiogram": ("api.telegram.org",),
    "discord": ("discord.com", "*.discord.gg"),
    "tweepy": ("api.twitter.com", "api.x.com", "upload.twitter.com"),
    "praw": ("www.reddit.com", "oauth.reddit.com"),
    "asyncpraw": ("www.reddit.com", "oauth.reddit.com"),
    "spotipy": ("api.spotify.com", "accounts.spotify.com"),
    "boto3": ("*.amazonaws.com",),
    "aioboto3": ("*.amazonaws.com",),
    "googleapiclient": ("*.googleapis.com",),
    "google.cloud": ("*.googleapis.com",),
    "google.oauth2": ("oauth2.googleapis.com",),
    "gspread": ("sheets.googleapis.com", "www.googleapis.com", "oauth2.googleapis.com"),
    "googlemaps": ("maps.googleapis.com",),
    "pinecone": ("api.pinecone.io", "*.pinecone.io"),
    "cohere": ("api.cohere.com",),
    "mistralai": ("api.mistral.ai",),
    "groq": ("api.groq.com",),
    "together": ("api.together.xyz",),
    "replicate": ("api.replicate.com",),
    "elevenlabs": ("api.elevenlabs.io",),
    "assemblyai": ("api.assemblyai.com",),
    "deepgram": ("api.deepgram.com",),
    "huggingface_hub": ("huggingface.co", "*.huggingface.co", "*.hf.co"),
    "firecrawl": ("api.firecrawl.dev",),
    "tavily": ("api.tavily.com",),
    "exa_py": ("api.exa.ai",),
    "serpapi": ("serpapi.com",),
    "apify_client": ("api.apify.com",),
    "yfinance": ("query1.finance.yahoo.com", "query2.finance.yahoo.com", "fc.yahoo.com", "finance.yahoo.com"),
    "alpaca": ("api.alpaca.markets", "paper-api.alpaca.markets", "data.alpaca.markets"),
    "wikipedia": ("*.wikipedia.org",),
    "wikipediaapi": ("*.wikipedia.org",),
    "arxiv": ("export.arxiv.org", "arxiv.org"),
    "duckduckgo_search": ("duckduckgo.com", "*.duckduckgo.com"),
    "youtube_transcript_api": ("www.youtube.com",),
    "plaid": ("sandbox.plaid.com", "production.plaid.com"),
    "square": ("connect.squareup.com",),
    "mailchimp_marketing": ("*.api.mailchimp.com",),
    "klaviyo_api": ("a.klaviyo.com",),
    "pydrive2": ("*.googleapis.com",),
    "dropbox": ("api.dropboxapi.com", "content.dropboxapi.com"),
    "box_sdk_gen": ("api.box.com", "upload.box.com"),
    "msgraph": ("graph.microsoft.com", "login.microsoftonline.com"),
    "simple_salesforce": ("*.salesforce.com", "*.force.com"),
    "zenpy": ("*.zendesk.com",),
    "posthog": ("us.i.posthog.com", "eu.i.posthog.com"),
    "sentry_sdk": ("*.sentry.io",),
}
"""Packages that go to hosts of their own → those hosts, where anything of them is called."""

MODELS: dict[str, tuple[str, str]] = {
    "openai.OpenAI": ("openai", "base_url"),
    "openai.AsyncOpenAI": ("openai", "base_url"),
    "anthropic.Anthropic": ("anthropic", "base_url"),
    "anthropic.AsyncAnthropic": ("anthropic", "base_url"),
    "google.genai.Client": ("gemini", "base_url"),
    "google.generativeai.configure": ("gemini", "api_endpoint"),
    "langchain_openai.ChatOpenAI": ("openai", "base_url"),
    "langchain_openai.OpenAIEmbeddings": ("openai", "base_url"),
    "langchain_anthropic.ChatAnthropic": ("anthropic", "base_url"),
    "langchain_google_genai.ChatGoogleGenerativeAI": ("gemini", "base_url"),
    "openai.AzureOpenAI": ("", "azure_endpoint"),
    "openai.AsyncAzureOpenAI": ("", "azure_endpoint"),
}
"""Constructors of the providers' SDKs → (provider, keyword of another address). The gateway serves these providers."""

VENDORS = {
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
    "gemini": "generativelanguage.googleapis.com",
}
"""The hosts of each provider's SDK that is not pointed at the gateway."""

NAMED_PROVIDERS = frozenset({"openrouter", "groq", "mistral", "deepseek", "xai", "ollama", "azure"})
"""Providers that the gateway knows by name; a home may have others."""

PROVIDER_OF_PREFIX = {"gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "openai": "openai", "claude": "anthropic",
           "anthropic": "anthropic", "gemini": "gemini", "google-gla": "gemini"}  # fmt: skip
"""Beginnings of model names → the provider, for packages that take models of several providers."""
MODEL_KEYWORDS = {
    "litellm.completion": "model",
    "litellm.acompletion": "model",
    "pydantic_ai.Agent": "model",
    "dspy.LM": "model",
}
"""Such packages' calls → the keyword of the model."""

SERVICES = frozenset({*service_table.SERVICES, "composio", "devx_mcp", "perplexity"})
"""Library services; what is none of them, and no model provider, is a workflow."""

DISCOVERY_OPERATIONS = frozenset(
    {"search", "search_apps", "actions", "list_actions", "schema", "describe_action", "options", "get_options", "reload_props",
     "check_auth", "list_accounts"}
)  # fmt: skip
"""Operations of the service `pipedream` that do nothing in any app."""

OFFLINE_PACKAGES = frozenset(
    {"annotated_types", "anyio", "apscheduler", "arrow", "asyncer", "attr", "attrs", "babel", "bleach", "bs4", "cachetools",
     "chardet", "charset_normalizer", "codewords_client", "croniter", "cryptography", "cssselect", "dateparser", "dateutil",
     "dirtyjson", "docx", "dotenv", "duckdb", "ebooklib", "email_validator", "faker", "fastapi", "filetype", "fitz", "fpdf",
     "holidays", "html2text", "html5lib", "humanize", "icalendar", "idna", "jinja2", "json_repair", "jsonschema", "jose",
     "jwt", "loguru", "lxml", "magic", "markdown", "markdown_it", "markdownify", "markupsafe", "matplotlib", "more_itertools",
     "msgspec", "multipart", "mutagen", "nacl", "networkx", "nltk", "num2words", "numpy", "openpyxl", "orjson", "pandas",
     "passlib", "pendulum", "phonenumbers", "PIL", "plotly", "polars", "pptx", "pyarrow", "pydantic", "pydantic_core",
     "pydantic_settings", "pydub", "pygments", "pypdf", "PyPDF2", "pytz", "qrcode", "rapidfuzz", "readability", "regex",
     "reportlab", "rich", "scipy", "seaborn", "shapely", "sklearn", "slugify", "sqlmodel", "starlette", "statsmodels",
     "structlog", "sympy", "tabulate", "tenacity", "backoff", "textblob", "tiktoken", "toml", "tqdm", "typer",
     "typing_extensions", "tzlocal", "ujson", "unidecode", "uvicorn", "uvloop", "vaderSentiment", "xlrd", "xlsxwriter",
     "xmltodict", "yaml", "yarl", "zoneinfo"}
)  # fmt: skip
"""Packages that connect to nothing by themselves."""
