"""Findings of `doctor` about the runtime, from its status."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from codewords_mcp import __version__
from codewords_mcp.cli._connect import is_elsewhere, read_settings
from codewords_mcp.cli._output import size
from codewords_mcp.cli._remedies import worded
from codewords_mcp.common.counts import counted
from codewords_mcp.stdio import home
from codewords_mcp.stdio.settings_conflict import ignored_settings

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json

Status = Literal["ok", "note", "warning", "failed"]

_SHOWN = 20
"""Workflows that are named."""

_LIMITS = {
    "memory_limit": ("memory", "exact_memory_limit"),
    "disk_limit": ("disk", "exact_disk_limit"),
    "process_limit": ("processes", "exact_process_limit"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. `failed` means that workflows cannot run; `fix` is what to do about it, if anything."""

    id: str
    status: Status
    detail: str
    fix: str = ""


def _fix_of(part: Json) -> str:
    """The fix that the runtime names for a part, with its remedy as a command."""
    return worded(part.get("fix"), part.get("remedy"))


def runtime_findings(status: Json) -> list[Finding]:
    """Facts that the runtime itself tells."""
    return [
        version_finding(status),
        _runtime(status),
        *_availability(status.get("availability")),
        *part_findings(status.get("problems") or []),
        *paused_findings(status.get("paused")),
        *_unattended(status),
        *_environments(status.get("damaged_environments") or {}, status.get("rebuilt_environments") or {}),
        *_sandbox(status["sandbox"]),
        _limits(status.get("limits") or {}, status["sandbox"].get("capabilities") or []),
        *_store(status.get("store") or {}),
        *recorded(status.get("recordings") or {}),
        *unread_hosts(status.get("recordings") or {}),
        *_secrets(status.get("secrets") or {}),
        *_browser(status.get("browser")),
        _services(),
    ]


def version_finding(status: Json) -> Finding:
    """Compare the runtime's version with that of this command."""
    theirs = status["version"]
    if theirs == __version__:
        return Finding("version", "ok", __version__)
    statement = f"This command is {__version__}, the runtime is {theirs}."
    return Finding(
        "version", "warning", statement, "`codewords stop` ends it; the next command starts the new one."
    )


def _runtime(status: Json) -> Finding:
    if not is_elsewhere():
        info = home.find(home.home_folder())
    else:
        info = None
    runs: Json = status.get("runs") or {}
    pid = f", pid {info.pid}" if info else ""
    counts = (
        f"{counted(status.get('workflows', 0), 'workflow')}, {counted(runs.get('active', 0), 'run')} active, "
        f"{runs.get('queued', 0)} queued"
    )
    return Finding("runtime", "ok", f"{status['base_url']}{pid}, {counts}")


def _availability(availability: Json | None) -> list[Finding]:
    """Report if the address lasts, and what starts the runtime again; empty for an older runtime."""
    if availability is None:
        return []

    level: Status = "ok"
    if availability["missed_port"]:
        level = "warning"
    elif availability["starts_with_session"] is False:
        level = "note"
    return [Finding("address", level, availability["sentence"], _fix_of(availability))]


def settings_finding() -> list[Finding]:
    """Settings of this environment that the running runtime was not started with."""
    settings = read_settings()
    info = home.find(home.home_folder())

    if info is None:
        ignored = []
    else:
        ignored = ignored_settings(settings, info.settings, info.token)

    if not ignored:
        return []

    statement = (
        f"{', '.join(ignored)} of this environment: the runtime that runs was started with other values."
    )
    return [
        Finding(
            "settings",
            "warning",
            statement,
            "`codewords stop` ends it; the next command starts one with these.",
        )
    ]


def _environments(damaged: dict[str, list[str]], rebuilt: dict[str, list[str]]) -> list[Finding]:
    """Environments that are not what was built, and those that were built again for that."""
    fix = (
        "It is built again when a workflow that uses it runs or is deployed. Where that fails, the package index has to"
        " be reachable."
    )
    still = [
        Finding(
            "environment",
            "warning",
            f"The environment {name} is damaged: {', '.join(packages[:_SHOWN])}.",
            fix,
        )
        for name, packages in damaged.items()
    ]
    repaired = [
        Finding(
            "environment",
            "note",
            f"The environment {name} was damaged ({', '.join(packages[:_SHOWN])}) and has been built again.",
        )
        for name, packages in rebuilt.items()
        if name not in damaged
    ]

    return [*still, *repaired]


def paused_findings(paused: Json | None) -> list[Finding]:
    """Report a restored home that is paused until a person resumes it, with counts of what waits."""
    if paused is None:
        return []
    statement = (
        f"This home was restored at {paused['since']} and starts nothing by itself. It holds "
        f"{counted(paused['schedules'], 'schedule')}, {counted(paused['runs'], 'waiting run')} and "
        f"{counted(paused['deliveries'], 'webhook delivery', 'webhook deliveries')}."
    )
    fix = "`codewords resume` goes on with them; `codewords resume --cancel-waiting` with the schedules only."
    return [Finding("paused", "warning", statement, fix)]


UNATTENDED = "CODEWORDS_CONSENT=token: nobody is asked. Assistants agree themselves to what they deploy, delete, send and change."


def _unattended(status: Json) -> list[Finding]:
    """Report a runtime where no person is asked before a model acts."""
    if status.get("consent") != "token":
        return []
    fix = "Where a person is there: take the setting out, `codewords stop`, and the next command starts a runtime that asks."
    return [Finding("consent", "warning", UNATTENDED, fix)]


def part_findings(problems: list[Json]) -> list[Finding]:
    """Parts of the runtime that are not ready. The sandbox has findings of its own."""
    return [
        Finding(problem["part"], "failed", problem["message"], worded(problem["hint"], problem.get("remedy")))
        for problem in problems
        if problem["part"] != "sandbox"
    ]


def _sandbox(sandbox: Json) -> list[Finding]:
    tier = str(sandbox["tier"])
    level: Status = "ok" if tier in {"A", "V"} else "warning"
    # An older runtime does not say.
    if not sandbox.get("ready", tier != "D"):
        level = "failed"
    facts: list[str] = sandbox.get("facts") or []
    statement = Finding("sandbox", level, f"tier {tier}: {sandbox.get('title')}", _fix_of(sandbox))
    return [statement, *(Finding("sandbox", "note", fact) for fact in facts)]


def _limits(limits: Json, capabilities: list[str]) -> Finding:
    """Limits of one run; "at best" where this machine's sandbox cannot hold them exactly."""
    parts: list[str] = []
    for name, (words, capability) in _LIMITS.items():
        if name in limits:
            # Limits of bytes are above a megabyte, those of processes below.
            if limits[name] >= 1 << 20:
                value = size(limits[name])
            else:
                value = str(limits[name])

            parts.append(f"{words} {value} ({'exact' if capability in capabilities else 'best effort'})")

    for name, words in (("sync_timeout", "a waited-for run"), ("run_timeout", "a background run")):
        if name in limits:
            parts.append(f"{words} {limits[name]:g} s")

    if "concurrency" in limits:
        parts.append(f"{limits['concurrency']} at once per caller")
    own = {scope: limits.get(f"{scope}_concurrency") for scope in ("key", "workflow", "home")}
    parts += [f"{most} per {scope}" for scope, most in own.items() if most is not None]
    return Finding("limits", "ok", ", ".join(parts))


def _store(store: Json) -> list[Finding]:
    if not store.get("kind"):
        return []

    statement = str(store["kind"])
    if "bytes" in store:
        if store["free_bytes"]:
            free = f" ({size(store['free_bytes'])} of it free)"
        else:
            free = ""

        statement += f", {size(store['bytes'])}{free}, {size(store['file_bytes'])} of uploaded files"
        statement += f" in {store['files_at']}" if store.get("files_shared") else ""
        statement += f"; runs are kept for {store['run_ttl'] / 86400:.3g} days, {store['runs_kept']} at most"

    findings = [Finding("store", "ok", statement)]
    if store["kind"] == "PostgreSQL" and store.get("files_shared") is False:
        fix = "Set CODEWORDS_FILES to a folder that all runtimes share, or to s3://bucket/prefix."
        note = "Uploaded files are in this home, where other runtimes of the database do not find them."
        findings.append(Finding("files", "note", note, fix))

    if store.get("shrinks") is False:
        fix = "Stop the runtime and run: sqlite3 codewords.db 'PRAGMA auto_vacuum=INCREMENTAL; VACUUM' in the home."
        findings.append(Finding("store", "note", "The database of an older version does not shrink.", fix))

    return findings


_RECORDED = {"all": "all runs", "failures": "runs that do not succeed", "off": "no runs"}


def recorded(recordings: Json) -> list[Finding]:
    """The runs that are recorded, and what replays have to work on."""
    if not recordings:
        return []

    policy = recordings["policy"]
    statement = f"{_RECORDED[policy]} are recorded (CODEWORDS_RECORD, or `record` in a header)"
    if policy == "off":
        fix = "Unset CODEWORDS_RECORD: without recordings there are no replays, and a deploy can't be tried on past runs."
        return [Finding("recorded", "note", statement, fix)]

    if recordings["count"]:
        statement += (
            f"; {recordings['count']:,} kept, {recordings['replayable']:,} of them can be replayed whole"
        )
    statement += f"; {size(recordings['bytes'])} of {size(recordings['home_bytes'])}"
    if not recordings["egress"]:
        statement += "; of sandboxes on E2B only calls of models, services and workflows"
    return [Finding("recorded", "ok", statement)]


def unread_hosts(recordings: Json) -> list[Finding]:
    """Hosts whose requests are not on recordings, by the version of the workflow that asks them."""
    hosts: list[Json] = recordings.get("unread_hosts") or []
    versions: dict[tuple[str, int, bool], list[str]] = {}
    for one in hosts:
        key = one["service_id"], one["version"], one["live"]
        versions.setdefault(key, []).append(f"{one['host']} ({one['why']})")

    findings = [
        Finding(
            "recorded",
            "note",
            f"{service_id} version {version}{' (live)' if live else ''}, not recorded: {', '.join(found)}.",
        )
        for (service_id, version, live), found in list(versions.items())[:_SHOWN]
    ]
    if findings:
        fix = (
            "What is sent there is missing in replays and traces. A program that trusts the list in SSL_CERT_FILE, and pins "
            "no certificate, is recorded from its next version on."
        )
        findings[-1] = replace(findings[-1], fix=fix)
    return findings


def _secrets(secrets: Json) -> list[Finding]:
    sources = {
        "environment": "CODEWORDS_MASTER_KEY",
        "keyring": "the system's keyring",
        "file": "a file in the home",
    }
    source = sources.get(str(secrets.get("master_key")))
    notes: list[str] = secrets.get("notes") or []
    statement = Finding(
        "secrets", "ok", f"encrypted; the master key comes from {source or secrets.get('master_key')}"
    )

    return [statement, *(Finding("secrets", "note", note) for note in notes)]


def readable_secrets(secrets: list[Json]) -> list[Finding]:
    """Report workflows that can read the value of a secret, since it has no host rule."""
    from codewords_mcp.runtime.gateway.variables import is_provider_key

    readable: dict[str, list[str]] = {}

    for secret in secrets:
        # Keys of model providers are used by the gateway and not passed to workflows.
        if secret["held"] == "plain" and not is_provider_key(secret["name"]):
            for workflow in secret["used_by"]:
                readable.setdefault(workflow, []).append(secret["name"])

    findings = [
        Finding("secrets", "note", f"{workflow} can read {', '.join(names)}: set without a host rule.")
        for workflow, names in sorted(readable.items())[:_SHOWN]
    ]
    if len(readable) > _SHOWN:
        findings.append(
            Finding("secrets", "note", f"{len(readable) - _SHOWN} more workflows can read secrets.")
        )
    if findings:
        fix = "Where a value is for certain hosts only: codewords secrets set NAME --host HOST."
        findings[-1] = replace(findings[-1], fix=fix)

    return findings


def failed_schedules(schedules: list[Json]) -> list[Finding]:
    """Schedules whose last run failed; nothing where there are no schedules."""
    bad = [
        schedule
        for schedule in schedules
        if schedule.get("last_status") in {"failed", "timed_out", "interrupted"}
    ]
    if not bad:
        if schedules:
            return [Finding("schedules", "ok", f"{len(schedules)}, none failed last")]
        return []

    findings = [
        Finding(
            "schedules",
            "warning",
            f"{schedule['id']} of {schedule['service_id']}: the last run {schedule['last_status']}.",
        )
        for schedule in bad[:_SHOWN]
    ]
    if len(bad) > _SHOWN:
        more = f" {len(bad) - _SHOWN} more failed."
    else:
        more = ""

    findings[-1] = replace(findings[-1], fix=f"Why: codewords runs {bad[0]['last_run_id']}.{more}")
    return findings


def _browser(browser: Json | None) -> list[Finding]:
    if browser is None:  # an older runtime
        return []
    level: Status = "ok" if browser["ready"] else "note"
    return [Finding("browser", level, str(browser["sentence"]), _fix_of(browser))]


def own_chrome(chrome: Json) -> Finding:
    """Report if workflows can act in the person's own Chrome."""
    return Finding("chrome", "ok" if chrome["connected"] else "note", chrome["sentence"], _fix_of(chrome))


def _services() -> Finding:
    from codewords_mcp.runtime.services import PLANNED

    names = ", ".join(sorted(PLANNED))
    return Finding(
        "off",
        "note",
        f"Not in this version: {names}. A workflow that calls one gets `service_not_available`.",
    )
