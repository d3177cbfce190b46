"""All settings, in one class.

Each is an environment variable `CODEWORDS_<NAME>`; docs/reference/settings.md is made from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _parse_list(value: object) -> object:
    """Read a list as JSON, or as words between commas, which is what people write first."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith(("[", "{", '"')):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("it is neither JSON nor words between commas") from None
    return [word.strip() for word in value.split(",") if word.strip()]


_Words = Annotated[list[str], NoDecode, BeforeValidator(_parse_list)]
"""A list in the environment: JSON, or words between commas."""


class ProviderSettings(BaseModel):
    """A model provider beside the three that have settings of their own; see `Settings.providers`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str | None = None
    interface: Literal["openai", "anthropic", "azure", "bedrock", "vertex"] | None = None
    title: str | None = Field(default=None, min_length=1, max_length=60)
    prices: (
        dict[str, dict[Literal["input", "output", "cached"], Annotated[float, Field(ge=0, le=1e6)]]] | None
    ) = None
    needs_key: bool | None = None
    credentials: Literal["key", "environment"] = "key"
    region: str | None = None
    project: str | None = None
    location: str | None = None
    token_url: str | None = None
    stream_usage: bool | None = None


def _default_home() -> Path:
    return user_data_path("codewords")


class Settings(BaseSettings):
    """The runtime's settings. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix="CODEWORDS_", extra="ignore", frozen=True)

    # fmt: off
    home: Path = Field(default_factory=_default_home, description="Folder with database, environments, files and logs.")
    host: str = Field(default="127.0.0.1", description="Address that `serve` binds. Another address than loopback needs a key.")
    port: int = Field(default=8765, ge=0, le=65535, description="Port that `serve` binds. A home keeps its port (`port.json`): without this setting, or with 0, it gets that one again; the first time 8765, or with 0 a free one. A detached runtime takes another where its port is taken, and says so.")
    allowed_hosts: _Words = Field(default_factory=list, description="Names, beside loopback and the bound address, under which the runtime may be asked (words between commas, or a JSON list); any other Host gets 421.")
    allowed_origins: _Words = Field(default_factory=list, description="Web origins, beside the runtime's own and loopback, whose pages may ask the runtime (words between commas, or a JSON list); any other Origin gets 403.")
    api_key: str | None = Field(default=None, description="The home's admin key. Without it one is made at first start and kept in the home (0600).")
    master_key: str | None = Field(default=None, description="Key that encrypts secrets, 32 bytes in base64 or hex. Without it one is made and kept in the system's keyring, or in the home (0600).")
    master_key_previous: str | None = Field(default=None, description="The key before CODEWORDS_MASTER_KEY, until rotating the key has encrypted everything with the new one.")
    secret_sources: _Words = Field(default_factory=list, description="Where secrets may be kept instead of here: addresses like `vault://kv/team/*`, `file:///run/secrets/*` or `env://APP_*` (words between commas, or a JSON list), in which `*` stands for anything and `{owner}` for the secret's owner.")
    secret_cache: float = Field(default=60.0, ge=0, description="Seconds for which a secret that is kept elsewhere is used without asking for it again.")
    master_key_store: Literal["auto", "file"] = Field(default="auto", description="Where a new home keeps its master key: `auto` in the system's keyring where a real one exists, else in a file of the home; or always in the `file`.")
    runtime_url: str | None = Field(default=None, description="A remote runtime that the front and the CLI connect to instead of starting one.")
    runtime: Literal["local", "container", "e2b"] | None = Field(default=None, description="What runs this home's workflows, for the front and the CLI: a runtime on this machine, one in a container of Docker, Podman or another engine, or one here whose sandboxes are on E2B. Default: the choice of the installation, which the home keeps, else `local`.")
    container_engine: str | None = Field(default=None, description="Words that start the container engine, such as `podman` or `sudo docker`. Default: the first of docker, podman, nerdctl and, on macOS, container that answers.")
    container_arguments: str = Field(default="", description="Further arguments of the engine's `run`, before the image.")
    container_image: str | None = Field(default=None, description="Image of the runtime's container. Default: codewords-mcp with this version as its tag.")
    sandbox: Literal["local", "e2b", "process"] = Field(default="local", description="Sandbox driver. `process` has no isolation and is for development only.")
    idle_timeout: float = Field(default=1800, ge=0, description="Seconds without a request after which a detached runtime ends itself; 0 never.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Level of the runtime's own log.")

    sync_timeout: float = Field(default=120, gt=0, description="Seconds a synchronous run may take before 504.")
    run_timeout: float = Field(default=900, gt=0, description="Seconds a background run may take.")
    start_timeout: float = Field(default=60, gt=0, description="Seconds a workflow has to open its port.")
    drain_timeout: float = Field(default=10, ge=0, description="Seconds that runs may go on once the runtime was told to end; up to 15 more while it closes.")
    shutdown_delay: float = Field(default=0, ge=0, description="Seconds after SIGTERM in which requests are still taken, while `GET /readyz` is 503 already: for a balancer that asks it, two of its intervals.")
    grace_timeout: float = Field(default=10, ge=0, description="Seconds a workflow may work on after its response (background tasks).")
    waiting_grace: float = Field(default=5, ge=0, description="Seconds that a background run which waits for a person or a time keeps its sandbox.")
    concurrency: int = Field(default=100, ge=1, description="Runs at once per caller, which is an owner with all its keys, over all replicas; more wait in a queue.")
    key_concurrency: int | None = Field(default=None, ge=1, description="Runs at once with one key, within its caller's. Default: no limit of its own.")
    key_queue_limit: int | None = Field(default=None, ge=0, description="Runs waiting with one key before 429. Default: no limit of its own.")
    workflow_concurrency: int | None = Field(default=None, ge=1, description="Runs at once of one workflow, whoever calls it, where its header does not say (`concurrency`). Default: no limit of its own.")
    workflow_queue_limit: int | None = Field(default=None, ge=0, description="Runs of one workflow waiting before 429, where its header does not say (`queue_limit`). Default: no limit of its own.")
    home_concurrency: int | None = Field(default=None, ge=1, description="Runs at once of the whole home, all its replicas together. Default: no limit of its own.")
    home_queue_limit: int | None = Field(default=None, ge=0, description="Runs of the whole home waiting before 429. Default: no limit of its own.")
    memory_reserve: int | None = Field(default=None, ge=0, description="Bytes of this machine's memory that runs leave free: below that, new ones wait, then get 429. Default: a tenth of it, at most 512 MiB.")
    queue_limit: int = Field(default=1000, ge=0, description="Runs waiting per caller before 429.")
    schedule_limit: int = Field(default=1000, ge=0, description="Schedules per caller.")
    watched_folders: list[Path] = Field(default_factory=list[Path], description="Folders of this machine that triggers of the home's owner may watch, with all below them (JSON list of whole paths). The runtime's own home is never watched.")
    trigger_limit: int = Field(default=1000, ge=0, description="Triggers of event sources per caller.")
    memory_limit: int = Field(default=2 << 30, gt=0, description="Bytes of memory per run.")
    disk_limit: int = Field(default=10 << 30, gt=0, description="Bytes of temporary disk per run.")
    ready_sandboxes: bool = Field(default=True, description="Keep sandboxes started for workflows that run often; each still serves one run.")
    process_limit: int = Field(default=256, gt=0, description="Processes and threads per run.")
    egress: Literal["internet", "none"] = Field(default="internet", description="What a workflow may reach beside the runtime: the public internet, or nothing.")
    egress_allow_private: _Words = Field(default_factory=list, description="host:port pairs on private or loopback addresses that workflows may reach all the same (words between commas, or a JSON list; for tests and local services).")

    chromium: Path | None = Field(default=None, description="The Chromium or Chrome that browser services run in a sandbox. Default: the first of chromium, chromium-browser, google-chrome on PATH.")
    browsers: int = Field(default=4, ge=0, description="Headless browsers at once, each of some 500 MiB; 0 for none. Further ones wait.")
    browsers_per_caller: int | None = Field(default=None, ge=1, description="Headless browsers at once of one caller, within the home's. Default: no limit of its own.")
    browser_wait: float = Field(default=60, gt=0, description="Seconds that a call waits for another browser to end before 429.")
    browser_idle_timeout: float = Field(default=60, gt=0, description="Seconds after which a browser that no call uses ends, though its run goes on.")
    browser_step_timeout: float = Field(default=30, gt=0, le=120, description="Seconds that one step in a browser may take.")
    browser_memory: int = Field(default=2 << 30, ge=512 << 20, description="Bytes of memory that one headless browser may take, with all of its pages.")
    agent_model: str | None = Field(default=None, pattern=r"^(openai|anthropic|gemini)/[\w.:@/-]+$", description="Model that web_automation_agent asks, as `provider/model`. Default: a capable one of the first provider with a key (Anthropic, OpenAI, Gemini).")

    read_only: bool = Field(default=False, description="Show and serve over MCP only tools that change nothing, whatever the key; `serve --read-only`.")
    toolsets: Annotated[list[str] | None, NoDecode, BeforeValidator(_parse_list)] = Field(default=None, description="The only toolsets that are served over MCP (words between commas, or a JSON list), whatever the key; `serve --toolsets`. Default: all.")
    oauth_issuer: str | None = Field(default=None, description="URL of an authorization server whose access tokens (JWT) are taken at /mcp and the HTTP API.")
    oauth_audience: str | None = Field(default=None, description="What such a token must be made for (`aud`). Default: the URL of /mcp as clients reach it.")
    oauth_jwks_url: str | None = Field(default=None, description="Where that server's public keys are. Default: what its metadata says.")
    oauth_introspection_url: str | None = Field(default=None, description="Where that server is asked whether a token was revoked (RFC 7662), every 15 s while the token is used. Default: tokens count until their time is over.")
    oauth_client_id: str | None = Field(default=None, description="What this runtime is called there.")
    oauth_client_secret: str | None = Field(default=None, description="Its secret there.")
    oauth_owners: dict[str, str] = Field(default_factory=dict, description="Whose workflows a token's subject (`sub`) acts on: JSON, subject to owner (`local` is the home's). Others have an owner of their own, or are members of the home who sign in at the same issuer.")

    oidc_issuer: str | None = Field(default=None, description="URL of an OpenID Connect issuer at which people sign in to the console.")
    oidc_client_id: str | None = Field(default=None, description="What this runtime is called at that issuer.")
    oidc_client_secret: str | None = Field(default=None, description="Its secret there. Without it the runtime is a public client, with PKCE as always.")
    oidc_scopes: str = Field(default="openid profile email", description="What is asked of the issuer, parted by blanks.")
    oidc_groups_claim: str = Field(default="groups", description="The claim that lists a person's groups.")
    oidc_roles: dict[str, Literal["viewer", "runner", "author", "admin", "owner"]] = Field(default_factory=dict, description="Roles of groups: JSON, group to `viewer`, `runner`, `author`, `admin` or `owner`. The highest counts, read anew at each sign-in.")
    oidc_default_role: Literal["viewer", "runner", "author"] | None = Field(default=None, description="The role of who is in none of these groups. Default: none, and such a person is no member.")

    open_browser: Literal["auto", "never"] = Field(default="auto", description="Whether the runtime opens the browser of the person at its desktop, signed in, when a page needs them: `auto` where there is a desktop, or `never`; then a person opens the page.")
    consent: Literal["person", "token"] = Field(default="person", description="Who agrees to what a model asks for over MCP (deploys, deletions, rollbacks, calls that write): a person, in a form of the chat host or on a page; or, where nobody is there (`token`), the model itself in a second call.")

    author_model: str | None = Field(default=None, pattern=r"^(openai|anthropic|gemini)/[\w.:@/-]+$", description="Model that writes workflows, as `provider/model`. Default: a capable one of the first provider with a key (Anthropic, OpenAI, Gemini).")
    author_rounds: int = Field(default=5, ge=1, le=20, description="Answers of a model that generating one workflow may take: the first, and repairs.")
    author_budget: float = Field(default=0.5, ge=0, description="USD that a model's answers for one workflow may cost; no further one is asked for that may go beyond.")
    draft_ttl: float = Field(default=7 * 86400, gt=0, description="Seconds a draft is kept after its last change.")

    public_url: str | None = Field(default=None, description="URL under which this runtime is reached from outside, without a path: by senders of webhooks, by people who sign in, and by sandboxes that run elsewhere (E2B), which without it use their own connection. Its host is taken as one of this runtime's.")
    pages_url: str | None = Field(default=None, pattern=r"^https?://[A-Za-z0-9.-]+(:\d+)?$", description="URL of a domain below which each workflow has an origin of its own for browsers: with https://apps.example.com the pages of `shop_0a1b2c3d` are at https://shop-0a1b2c3d.apps.example.com. All names below it have to lead to this runtime, with TLS. Without it workflows have pages on this machine only, at `<name>.localhost`.")
    e2b_template: str = Field(default="codewords", pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name of the E2B template that machines are made from.")
    e2b_domain: str | None = Field(default=None, description="Domain of E2B, or of a cloud that speaks its API; default E2B_DOMAIN, else e2b.app.")
    e2b_api_url: str | None = Field(default=None, description="URL of E2B's API where it is not api.DOMAIN (self-hosted, tests); default E2B_API_URL.")
    e2b_sandbox_url: str | None = Field(default=None, description="URL of E2B's edge where sandboxes have no names of their own (self-hosted, tests); default E2B_SANDBOX_URL.")
    e2b_proxy: str | None = Field(default=None, description="URL of the HTTP proxy through which E2B is reached; default what HTTPS_PROXY says.")
    e2b_ttl: int = Field(default=120, ge=15, description="Seconds that an E2B sandbox outlives a runtime that has died; a living one renews it.")
    e2b_sandboxes: int = Field(default=20, ge=1, description="E2B sandboxes at once at most; plans allow 20 (Hobby) or 100 (Pro) and more.")
    e2b_creates: float = Field(default=1, gt=0, description="E2B sandboxes made in a second at most; plans allow 1 (Hobby) or 5 (Pro).")
    e2b_spares: int = Field(default=0, ge=0, description="E2B sandboxes kept waiting for each environment in use. They start at once and cost as if they ran.")
    e2b_pause_after: float = Field(default=0, ge=0, description="Seconds without a request after which an idle E2B sandbox is paused until the next; 0 never.")
    e2b_egress: Literal["machine", "runtime"] = Field(default="machine", description="Where connections of programs on E2B are made: from their machine by the runtime's policy, or all through the runtime.")
    e2b_cpus: int = Field(default=2, ge=1, description="Processors of the E2B template.")
    e2b_memory_mb: int = Field(default=2048, ge=512, description="MiB of memory of the E2B template.")
    e2b_cpu_price: float = Field(default=0.000014, ge=0, description="US dollars that E2B takes for a processor and second.")
    e2b_memory_price: float = Field(default=0.0000045, ge=0, description="US dollars that E2B takes for a GiB of memory and second.")
    openai_base_url: str = Field(default="https://api.openai.com/v1", description="Where the gateway reaches OpenAI.")
    anthropic_base_url: str = Field(default="https://api.anthropic.com", description="Where the gateway reaches Anthropic.")
    gemini_base_url: str = Field(default="https://generativelanguage.googleapis.com", description="Where the gateway reaches Gemini.")
    firecrawl_base_url: str = Field(default="https://api.firecrawl.dev", description="Where the service `firecrawl` reaches Firecrawl.")
    github_base_url: str = Field(default="https://api.github.com", description="Where the service `github` reaches GitHub; for a server of your own, its /api/v3.")
    searchapi_base_url: str = Field(default="https://www.searchapi.io/api/v1", description="Where the service `searchapi` reaches SearchApi.")
    searxng_url: str | None = Field(default=None, description="A SearXNG that gives JSON, for the service `searchapi` where no SEARCHAPI_API_KEY is set.")
    reddit_base_url: str = Field(default="https://www.reddit.com", description="Where the service `reddit` gets its tokens.")
    reddit_api_base_url: str = Field(default="https://oauth.reddit.com", description="Where the service `reddit` reaches Reddit's API.")
    hunter_base_url: str = Field(default="https://api.hunter.io/v2", description="Where the service `hunter` reaches Hunter.")
    slack_base_url: str = Field(default="https://slack.com/api", description="Where the service `slack_trigger` reaches Slack.")
    whatsapp_base_url: str = Field(default="https://graph.facebook.com/v23.0", description="Where the service `whatsapp_trigger` reaches WhatsApp's Cloud API, with its version.")
    pipedream_base_url: str = Field(default="https://api.pipedream.com", description="Where integrations reach Pipedream Connect.")
    mcp_processes: int = Field(default=16, ge=0, description="MCP servers from packages that run at once on this machine, each some 30 to 150 MiB; 0 for none. One that nobody uses makes room for another.")
    mcp_memory: int = Field(default=512 << 20, ge=64 << 20, description="Bytes of memory that one MCP server from a package may take, with all of its processes.")
    mcp_idle_timeout: float = Field(default=300, gt=0, description="Seconds without a call after which the session with an MCP server is closed, and the process of one from a package ends.")
    mcp_registry_url: str = Field(default="https://registry.modelcontextprotocol.io", description="The registry in which MCP servers are found.")
    pipedream_user: str = Field(default="codewords-", max_length=100, description="How Pipedream knows an owner of this home: this, then the owner's name. Homes that share a project, and are not to share its accounts, give it differently.")
    integration_base_urls: dict[str, str] = Field(default_factory=dict, description="Where integrations that need no broker reach an app that is not at its usual address: JSON, app to URL, `google_token` for Google's tokens.")
    providers: dict[str, ProviderSettings] = Field(default_factory=dict, description="Model providers beside OpenAI, Anthropic and Gemini: JSON, a name to `base_url`, and where they differ `interface` (`openai`, `anthropic`, `azure`, `bedrock`, `vertex`), `title`, `prices` (model, or `*`, to `input`, `output` and `cached`), `needs_key`, `stream_usage`, and for clouds `region`, `project`, `location`, `token_url` and `credentials` (`environment`: the machine's own). openrouter, groq, mistral, deepseek and xai need no entry; ollama, azure, bedrock and vertex know all but where they are.")
    model_prices: dict[str, dict[str, float]] = Field(default_factory=dict, description="Prices of models, before those that come with the runtime: JSON, model or `provider/model` to `input`, `output` and `cached`, in USD a million tokens.")
    price_feed: str | None = Field(default=None, pattern=r"^https?://", description="Address from which newer prices of models are fetched once a day, in the format of genai-prices, such as `https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json`. Prices that cannot be true are not taken. Default: none, the prices are those that came with the runtime.")
    model_aliases: dict[str, str] = Field(default_factory=dict, description="Names of models that stand for others: JSON. A call is priced as the other; the simple form asks for the other.")
    budgets: dict[str, float] = Field(default_factory=dict, description="Budgets for model calls in USD, beside those that were set at runtime: JSON with `call`, `run`, `workflow`, `key`, `day` (the home's, each day) and `home`.")
    provider_rates: dict[str, float] = Field(default_factory=dict, description="Calls a minute of `openai`, `anthropic`, `gemini` and named providers (JSON); those over it wait their turn, up to 30 s, and the keys that wait take turns. Default: no limit.")
    key_rates: dict[str, float] = Field(default_factory=dict, description="Calls of model providers a minute of each CodeWords key: JSON, a key's id to its rate, `*` for every other key. Those over it wait their turn, up to 30 s, and the runs that wait take turns. Default: no limit.")
    provider_connect_timeout: float = Field(default=10, gt=0, description="Seconds to reach a model provider.")
    provider_timeout: float = Field(default=600, gt=0, description="Seconds to wait for the first byte of a model provider's answer.")
    provider_chunk_timeout: float = Field(default=600, gt=0, description="Seconds to wait for each further piece of a model provider's answer.")
    provider_whole_timeout: float = Field(default=3600, gt=0, description="Seconds that a model provider's answer may take from the request to its end.")
    provider_retries: int = Field(default=2, ge=0, le=10, description="How often a call that a model provider refused for now (408, 409, 429, 5xx) or that did not reach it is made again, by the provider's own rules. SDKs that repeat calls themselves are left to it.")
    model_fallbacks: dict[str, list[str]] = Field(default_factory=dict, description="Models that stand in for one that cannot be had: JSON, model to a list of models, tried in its order. `provider/model` names another provider's, which only the simple form can ask.")

    max_body: int = Field(default=64 << 20, gt=0, description="Bytes of a request body.")
    max_webhook: int = Field(default=1 << 20, gt=0, description="Bytes of what a webhook takes.")
    max_code: int = Field(default=1 << 20, gt=0, description="Bytes of a workflow's code.")
    max_response_kept: int = Field(default=1 << 20, ge=0, description="Bytes of a response kept in the run record; the caller gets all of it.")
    max_log_bytes: int = Field(default=10 << 20, gt=0, description="Bytes of log kept per run; a marker line says where it was cut.")
    max_file: int = Field(default=512 << 20, gt=0, description="Bytes of an uploaded file.")
    file_ttl: float = Field(default=7 * 86400, gt=0, description="Seconds an uploaded file and its links live.")
    run_ttl: float = Field(default=30 * 86400, gt=0, description="Seconds a finished run and its logs are kept.")
    runs_kept: int = Field(default=5_000_000, ge=0, description="Finished runs kept at most; the oldest go first.")
    log_ttl: float | None = Field(default=None, gt=0, description="Seconds the log of a finished run is kept. Default: as long as the run.")
    record: Literal["all", "failures", "off"] = Field(default="all", description="Runs whose requests and responses are recorded, for traces, replays and tests: all, those that fail, or none. A workflow's header may say it for itself (`record`).")
    recording_workflow_bytes: int = Field(default=64 << 20, ge=0, description="Bytes of recordings kept of a workflow. Failed runs, the latest good ones and one of each form of input go last.")
    recording_home_bytes: int = Field(default=1 << 30, ge=0, description="Bytes of recordings kept in the home.")
    recording_ttl: float = Field(default=7 * 86400, gt=0, description="Seconds that recordings are kept.")
    alert_ttl: float = Field(default=30 * 86400, gt=0, description="Seconds that alerts are kept after they are over.")
    audit_ttl: float = Field(default=400 * 86400, gt=0, description="Seconds that entries of the audit trail are kept. Older ones are removed from the beginning, and the chain of the others stays whole.")
    audit_webhook: str | None = Field(default=None, pattern=r"^https?://", description="URL that gets the sealed entries of the audit trail: JSON, signed with the secret that CODEWORDS_AUDIT_WEBHOOK_SECRET names, in order and at least once.")
    audit_webhook_secret: str = Field(default="AUDIT_WEBHOOK_SECRET", pattern=r"^[A-Z][A-Z0-9_]*$", description="Name of the home's secret with which that webhook is signed.")
    audit_syslog: str | None = Field(default=None, description="Syslog server that gets the sealed entries of the audit trail (RFC 5424): `udp://host:514`, `tcp://host:601`, `tls://host:6514` or `unix:///dev/log`.")
    audit_syslog_ca: Path | None = Field(default=None, description="File of certificates (PEM) that a syslog server over TLS is checked by. Default: the system's.")
    metrics_workflows: int = Field(default=100, ge=0, le=10_000, description="Workflows that have series of their own at `/metrics`, the first that run; the others are counted together as `other`.")
    disk_warning: int = Field(default=1 << 30, ge=0, description="Bytes free on the home's disk below which an alert says so; 0 never.")
    webhook_ttl: float = Field(default=7 * 86400, gt=0, description="Seconds that what came by webhooks is kept, 1000 of each owner at most; for so long it is known when it comes again.")
    environment_ttl: float = Field(default=7 * 86400, gt=0, description="Seconds an unused environment is kept.")
    environment_versions: int = Field(default=3, ge=0, description="Newest versions of each workflow, beside the live one, whose environments are kept in any case; a rollback to an older one builds it again.")
    python_downloads: bool = Field(default=True, description="Let uv fetch a Python that a workflow needs and this machine lacks.")
    database_url: str | None = Field(default=None, description="`postgresql://user:password@host:5432/name`: a database that several runtimes share; default is SQLite in the home.")
    database_connections: int = Field(default=18, ge=8, description="Connections to PostgreSQL that a runtime opens at the most, beside the one that listens. All runtimes of a database share its `max_connections`.")
    replica_ttl: float = Field(default=15, ge=1, description="Seconds after which a runtime that shares a database and gives no sign of life is taken over from.")
    files: str | None = Field(default=None, description="Where uploaded files are, for all runtimes of a database: a folder that they share, or `s3://bucket/prefix` (needs `codewords-mcp[s3]`; who may is said by AWS_ACCESS_KEY_ID and the other AWS_* variables, or by the machine's role). Default is in the home.")
    s3_endpoint: str | None = Field(default=None, description="URL of the server that speaks S3, where it is not AWS's; default AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL.")
