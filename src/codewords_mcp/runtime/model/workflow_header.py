"""The keys of a workflow's PEP 723 header, described once.

The JSON Schema of `WorkflowHeader` is published (`docs/reference/header.schema.json`, `codewords schema header`), and
`docs/reference/header.md` is made of it. Values are checked in `workflows/declarations.py`, which knows lines and fixes.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from codewords_mcp.runtime.model.base import published_schema

MAX_RETRIES: Final = 10
MAX_CACHE_S: Final = 30 * 86400
MAX_MODELS: Final = 100
MAX_BUDGET_USD: Final = 1_000_000

NAMED_MODEL: Final = r"^[\w.:/@*?-]{1,200}$"
# What an editor can say of a host; `parse_host_entry` decides. Two colons are an IPv6 address, one would be a port.
HOST: Final = r"^(\*\.)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$|^\[?[0-9A-Fa-f]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]?$"
ANY_HOST: Final = rf"^\*$|{HOST}"
SIZE: Final = r"^(\d{1,6}) ?([KMGkmg])[iI]?[bB]$"

Host = Annotated[StrictStr, Field(pattern=HOST)]
NamedModel = Annotated[StrictStr, Field(pattern=NAMED_MODEL)]
Amount = Annotated[StrictFloat, Field(ge=0, le=MAX_BUDGET_USD)]


class HeaderPart(BaseModel):
    """Base class of the header's tables: keys that are not listed have no effect, and editors say so."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _without(what: str, *, guide: str = "") -> dict[str, Any]:
    """Metadata of a key: the state without it, and a page below docs/guides on it."""
    if guide:
        return {"x-without": what, "x-guide": guide}
    return {"x-without": what}


class HeaderBudget(HeaderPart):
    """Amounts in USD for model calls."""

    call: Amount | None = Field(default=None, description="Of one model call.")
    run: Amount | None = Field(default=None, description="Of one run with the runs that it starts.")
    day: Amount | None = Field(default=None, description="Of the workflow in a day.")
    month: Amount | None = Field(default=None, description="Of the workflow in a month.")
    total: Amount | None = Field(default=None, description="Of the workflow altogether.")


class HeaderRetries(HeaderPart):
    """Retries whose attempts may go on from the one before."""

    count: Annotated[StrictInt, Field(ge=0, le=MAX_RETRIES)] = Field(
        default=0, description="How often the run is tried again."
    )
    resume: StrictBool = Field(
        default=False,
        description="Each attempt gets the recorded answers of those before, and no write is sent twice.",
    )


class HeaderOptions(HeaderPart):
    """The table `[tool.codewords]`. Every key may be left out."""

    client: Literal["ours", "pypi"] | None = Field(
        default=None,
        description='`"pypi"` installs the published `codewords-client` that the header pins.',
        examples=["pypi"],
        json_schema_extra=_without("the runtime's own"),
    )
    isolation: Literal["execution", "instance"] | None = Field(
        default=None,
        description='`"instance"`: runs of one API key share one running program, its files and its key, until '
        "it has been idle for "
        "a minute. For workflows that keep a warm model or cache.",
        examples=["instance"],
        json_schema_extra=_without('`"execution"`: a fresh sandbox for each run'),
    )
    concurrency: Annotated[StrictInt, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="Runs of this workflow at once, whoever calls it, over all replicas, 1 to 1000; more wait. With "
        '`isolation = "instance"`: runs at once that one instance serves; more get another instance.',
        examples=[4],
        json_schema_extra=_without("`CODEWORDS_WORKFLOW_CONCURRENCY`, else no limit of its own; 32"),
    )
    queue_limit: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = Field(
        default=None,
        description="Runs of this workflow that may wait before more get 429, 0 to 1,000,000.",
        examples=[100],
        json_schema_extra=_without("`CODEWORDS_WORKFLOW_QUEUE_LIMIT`, else no limit of its own"),
    )
    retries: Annotated[StrictInt, Field(ge=0, le=MAX_RETRIES)] | HeaderRetries | None = Field(
        default=None,
        description=f"How often a background run that failed, ran out of time or was interrupted is tried "
        f"again, 0 to {MAX_RETRIES}: the "
        "same run, another attempt, after a pause that grows from a second to a minute. Only for workflows that may do "
        "their work twice, unless it is written `{count = 3, resume = true}`: then each attempt gets the recorded answers "
        "of those before, and no write is sent twice.",
        examples=[3],
        json_schema_extra=_without("0", guide="resumed-runs.md"),
    )
    on_failure: StrictStr | None = Field(
        default=None,
        description="The id of a workflow of the same owner that is started with the record of each failed run "
        "that nobody waited for.",
        examples=["tell_0a1b2c3d"],
        json_schema_extra=_without("none is started", guide="alerts.md#a-workflow-for-failures"),
    )
    timeout: Annotated[StrictInt, Field(ge=1, le=86400)] | None = Field(
        default=None,
        description="Seconds that a background run may take, 1 to 86400.",
        examples=[3600],
        json_schema_extra=_without("`CODEWORDS_RUN_TIMEOUT`"),
    )
    memory: Annotated[StrictStr, Field(pattern=SIZE)] | None = Field(
        default=None,
        description='Memory of a run, with a unit: `"512MB"`, `"2GB"`. The check fails where the home\'s limit is lower.',
        examples=["512MB"],
        json_schema_extra=_without("`CODEWORDS_MEMORY_LIMIT`"),
    )
    disk: Annotated[StrictStr, Field(pattern=SIZE)] | None = Field(
        default=None,
        description='Temporary disk of a run, with a unit: `"512MB"`, `"2GB"`. The check fails where the home\'s limit is lower.',
        examples=["1GB"],
        json_schema_extra=_without("`CODEWORDS_DISK_LIMIT`"),
    )
    cpu: Annotated[StrictFloat, Field(ge=0.05, le=256)] | None = Field(
        default=None,
        description="Processors that a run may keep busy, also a part of one: `0.5`. Held where sandboxes have "
        "a cgroup; a check warns "
        "elsewhere.",
        examples=[0.5],
        json_schema_extra=_without("all"),
    )
    record: Literal["all", "failures", "off"] | None = Field(
        default=None,
        description='Which runs are recorded: `"all"`, `"failures"` (stored only where the run did not succeed) or `"off"`.',
        examples=["failures"],
        json_schema_extra=_without("`CODEWORDS_RECORD`", guide="recordings.md"),
    )
    budget: HeaderBudget | None = Field(
        default=None,
        description="A table of USD for model calls: `call`, `run` (with the runs it starts), and for the "
        "workflow `day`, `month`, "
        "`total`.",
        examples=[{"run": 0.5, "day": 5}],
        json_schema_extra=_without("only the budgets of the home", guide="models.md#budgets"),
    )
    models: Annotated[list[NamedModel], Field(max_length=MAX_MODELS)] | None = Field(
        default=None,
        description=f'The models that it may ask: names or patterns, `["gpt-4o*", "anthropic/*"]`, {MAX_MODELS} at the most.',
        examples=[["gpt-4o-mini", "anthropic/*"]],
        json_schema_extra=_without(
            "those that the key may ask", guide="models.md#which-models-a-key-may-use"
        ),
    )
    fallbacks: dict[str, Annotated[list[NamedModel], Field(max_length=MAX_MODELS)]] | None = Field(
        default=None,
        description="A table of lists: which models stand in for one that cannot be had, "
        '`{"gpt-4o" = ["gpt-4o-mini"]}`. Before `CODEWORDS_MODEL_FALLBACKS`.',
        examples=[{"gpt-4o": ["gpt-4o-mini"]}],
        json_schema_extra=_without("those of the setting"),
    )
    cache: Annotated[StrictFloat, Field(ge=0, le=MAX_CACHE_S)] | None = Field(
        default=None,
        description="Seconds for which the answers of models are kept, up to 30 days.",
        examples=[3600],
        json_schema_extra=_without("0", guide="models.md#cached-answers"),
    )
    trace_content: StrictBool | None = Field(
        default=None,
        description="`true`: prompts and replies are in its traces, where a collector is configured; `false`: never.",
        examples=[True],
        json_schema_extra=_without(
            "what `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says, else `false`",
            guide="models.md#traces-and-metrics",
        ),
    )
    example: dict[str, Any] | None = Field(
        default=None,
        description='An input that `POST /` answers, as a table: `{name = "Ada"}`. It is tried when the code is '
        "checked, kept with the "
        "version, and run by its tests.",
        examples=[{"name": "Ada"}],
        json_schema_extra=_without("one is made from the schema of the input"),
    )
    expect: Annotated[list[StrictStr], Field(max_length=50)] | None = Field(
        default=None,
        description='Fields of the answer to its example, with their types: `["$.total: number", '
        '"$.rows[0].name: string or null"]`, '
        "50 at the most. Each check and each deploy warns where the answer lacks one, and its tests fail.",
        examples=[["$.total: number"]],
        json_schema_extra=_without("nothing is expected", guide="testing.md#before-the-first-run"),
    )
    hosts: list[Annotated[StrictStr, Field(pattern=ANY_HOST)]] | None = Field(
        default=None,
        description="Hosts that it reaches beside those that its code names: names or addresses, "
        "`*.example.com` for every name below, "
        '`"*"` for any. `[]` says that there are none.',
        examples=[["api.github.com"]],
        json_schema_extra=_without(
            "those that the code names; any, where an address is only known when the code runs"
        ),
    )
    services: list[StrictStr] | None = Field(
        default=None,
        description="Library services, model providers and workflow ids that it calls beside those that its code names. "
        '`"github: readme"` is one operation of a service, `"github"` all of them.',
        examples=[["openai", "github: readme"]],
        json_schema_extra=_without(
            "those that the code names; any, where a name is only known when the code runs"
        ),
    )
    inspect: StrictBool | None = Field(
        default=None,
        description="`true`: what goes to any host by TLS is looked at, and refused where it holds a secret's "
        "placeholder; all of it "
        "must be HTTP.",
        examples=[True],
        json_schema_extra=_without(
            "`false`: only hosts of its secrets' rules", guide="secrets.md#with-a-host-rule"
        ),
    )
    snapshot: StrictBool | None = Field(
        default=None,
        description="`true`: runs start from a snapshot of the program's memory after its imports, where the script "
        "is fit for it.",
        examples=[True],
        json_schema_extra=_without(
            "`false`: each run imports anew", guide="develop.md#start-after-the-imports"
        ),
    )
    egress: list[Host] | None = Field(
        default=None,
        description="A closed list: the only hosts that it may reach, whatever the code names; `[]` for none. "
        "The runtime itself is "
        "always reached.",
        examples=[["api.github.com"]],
        json_schema_extra=_without("`hosts` and what the code names"),
    )


class HeaderVariables(HeaderPart):
    """The table `[tool.env-checker]`."""

    env_vars: list[StrictStr] | None = Field(
        default=None,
        description='`"NAME=value"` is a default, `"NAME"` must be set: a secret of that name is given to the workflow, an '
        "undeclared one never. `PIPEDREAM_<APP>_ACCESS` declares an app connection.",
        examples=[["LOGLEVEL=INFO", "MY_TOKEN"]],
    )


class HeaderTools(BaseModel):
    """The tables below `[tool]`. Those of other programs are theirs."""

    env_checker: HeaderVariables | None = Field(
        default=None, alias="env-checker", description="The variables that the workflow gets."
    )
    codewords: HeaderOptions | None = Field(
        default=None, description="How the workflow runs, and what it may reach."
    )


class WorkflowHeader(HeaderPart):
    """The TOML of a workflow's PEP 723 block."""

    requires_python: StrictStr | None = Field(
        default=None,
        alias="requires-python",
        description="A version specifier. The runtime's own Python is taken where it fits, else one of this machine or one "
        "that is fetched. Forks are cheaper from 3.12 on.",
        examples=[">=3.11,<3.14"],
    )
    dependencies: list[StrictStr] | None = Field(
        default=None,
        description="Packages of the index, locked once per set. Any pin of `codewords-client` gets the runtime's own client.",
        examples=[["fastapi==0.115.12"]],
    )
    tool: HeaderTools | None = Field(default=None, description="Tables of programs that read the header.")


def header_schema() -> dict[str, Any]:
    """The JSON Schema of a header, as it is published. TOML has no null: a key is there or left out."""
    schema = WorkflowHeader.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        part["properties"] = {name: _without_null(key) for name, key in part["properties"].items()}
    description = "The TOML of the PEP 723 block of a workflow: docs/reference/header.md."
    return published_schema(schema, "Header of a workflow", description)


def _without_null(key: dict[str, Any]) -> dict[str, Any]:
    """The schema of a key without the null that stands for its absence, and without the title that repeats its name."""
    kinds = [kind for kind in key.get("anyOf", []) if kind.get("type") != "null"]
    plain = {name: value for name, value in key.items() if name not in {"anyOf", "title"}}
    if plain.get("default", ...) is None:
        del plain["default"]
    if len(kinds) == 1:
        return kinds[0] | plain
    if kinds:
        return plain | {"anyOf": kinds}
    return plain
