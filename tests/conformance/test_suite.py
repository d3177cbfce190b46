"""The suite itself: it finds what it is for, says what it skips, and never gives up half-way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conformance import faults
from tests.conformance.faults import faulty
from tests.support.paths import PROJECT
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef, Network
from codewords_mcp.runtime.sandboxes.process.driver import ProcessDriver
from codewords_mcp.testing.sandboxes import (
    Context,
    Need,
    checks,
    drivers,
    open_context,
    registry,
    run_check,
    self_check,
)

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:suite")]

FAULTS: list[tuple[Any, str]] = [
    (faulty(faults.SwapsStreams), "output.streams"),
    (faulty(faults.DecodesOutput), "output.bytes"),
    (faulty(faults.LosesTheEnd), "output.last-words"),
    (faulty(faults.TakesAllOutput), "output.flood"),
    (faulty(faults.ForgetsTheCode), "end.exit-codes"),
    (faulty(faults.ForgetsTheSignal), "end.signals"),
    (faulty(faults.BelievesTheLastKill), "end.kill"),
    (faulty(faults.HasNoFailure), "end.before-listening"),
    (faulty(faults.IsReadyAtOnce), "end.never-listens"),
    (faulty(faults.KillsAtOnce), "end.grace"),
    (faulty(faults.UsesNothing), "usage.plausible"),
    (faulty(faults.DiesOfACancelledWait), "cancel.waiting"),
    (faulty(change=faults.host_variables), "script.variables"),
    (faulty(change=faults.trimmed_variables), "script.variables"),
    (faulty(change=faults.unix_lines), "script.unicode"),
    (faults.starts_after_close, "driver.closed"),
    (faults.boasting, "files.host-hidden"),
    (faults.boasting, "isolation.host-loopback"),
    (faults.boasting, "isolation.processes"),
    (faults.boasting, "isolation.ports"),
    (faults.boasting, "limits.threads"),
    (faults.boasting, "limits.fork-bomb"),
    (faults.boasting, "network.transparent"),
]


@pytest.mark.parametrize(
    ("make_driver", "name"), FAULTS, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_a_driver_that_breaks_a_promise_is_found(
    environment: EnvironmentRef, make_driver: Any, name: str
) -> None:
    report = await self_check(make_driver, environment, only=[name])
    assert [outcome.status for outcome in report.outcomes] == ["failed"]
    assert report.outcomes[0].reason
    assert not report.ok
    assert name in report.table()


async def test_what_a_driver_does_not_claim_is_skipped_and_said(environment: EnvironmentRef) -> None:
    report = await self_check(drivers.process, environment, only=["limits", "end.exit-codes"])
    assert {outcome.status for outcome in report.outcomes if outcome.check.id.startswith("limits.")} == {
        "skipped"
    }
    assert report.ok
    assert report.table().count("Not claimed: isolation.") == len(report.of("skipped"))
    assert "1 passed, 0 failed" in report.table()


async def test_a_driver_that_another_process_cannot_import_is_not_killed_there(
    environment: EnvironmentRef,
) -> None:
    async with open_context(faulty(), environment) as context:
        crash = next(check for check in checks() if check.id == "driver.crash")
        assert set(crash.missing(context.driver, context.make_driver)) == {Need.ISOLATION, Need.IMPORTABLE}
        assert (await run_check(crash, context)).status == "skipped"


async def test_a_check_that_hangs_or_raises_is_a_failure_and_the_next_one_runs(
    environment: EnvironmentRef,
) -> None:
    import asyncio
    from dataclasses import replace

    async def hang(_: Context) -> None:
        await asyncio.Event().wait()

    async def fault(_: Context) -> None:
        raise ZeroDivisionError

    one = registry.checks(["end.exit-codes"])[0]
    async with open_context(drivers.process, environment) as context:
        hung = await run_check(replace(one, run=hang, seconds=0.1), context)
        raised = await run_check(replace(one, run=fault), context)
        after = await run_check(one, context)
    assert (hung.status, hung.reason) == ("failed", "It did not end within 0.1 seconds.")
    assert raised.status == "failed"
    assert "ZeroDivisionError" in raised.reason
    assert (after.status, after.reason) == ("passed", "")


async def test_a_driver_that_cannot_be_closed_has_a_report_all_the_same(environment: EnvironmentRef) -> None:
    class Stuck(faults.FaultyDriver):
        async def close(self) -> None:
            await super().close()
            raise ZeroDivisionError

    async def make(network: Network | None, folder: Path) -> Driver:
        return Stuck(await drivers.process(network, folder), faults.Faulty, faults.same_spec)

    report = await self_check(make, environment, only=["end.exit-codes"])
    assert [outcome.status for outcome in report.outcomes] == ["passed", "failed"]
    assert "ZeroDivisionError" in report.outcomes[1].reason


async def test_an_unknown_name_is_told(environment: EnvironmentRef) -> None:
    with pytest.raises(ValueError, match=r"No check or area is called limit\."):
        await self_check(drivers.process, environment, only=["limit", "end"])


async def test_checks_have_ids_of_an_area_and_a_sentence() -> None:
    found = checks()
    assert len(found) >= 45
    for check in found:
        area, _, name = check.id.partition(".")
        assert area
        assert name
        assert check.sentence.endswith(".")
        assert check.seconds <= 60
    assert [check.id for check in checks(["limits"])] == [c.id for c in found if c.id.startswith("limits.")]
    assert checks(["limits.heap"])[0].missing(ProcessDriver) == ["isolation"]


async def test_every_check_is_in_the_reference_as_it_is() -> None:
    page = (PROJECT / "docs" / "reference" / "sandbox-protocol.md").read_text(encoding="utf-8")
    rows = [f"| `{one.id}` | {one.sentence} | {', '.join(sorted(one.needs)) or ''} |" for one in checks()]
    listed = [
        line for line in page.splitlines() if line.startswith("| `") and line.split("`")[1].count(".") == 1
    ]
    assert listed == rows


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    module = [sys.executable, "-m", "codewords_mcp.testing.sandboxes", *arguments]
    return subprocess.run(module, capture_output=True, encoding="utf-8", timeout=100, check=False)


def test_the_command_prints_a_table_and_tells_by_its_exit_code(environment: EnvironmentRef) -> None:
    given = ("--driver", "process", "--home", warm_folder(), "--only")
    done = command(*given, "end.exit-codes", "--only", "limits.heap")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Tier P: No isolation (development)\n")
    assert "The exit has the program's own code." in done.stdout
    report = json.loads(command(*given, "end.exit-codes", "--json").stdout)
    assert (report["ok"], report["tier"], [one["status"] for one in report["outcomes"]]) == (
        True,
        "P",
        ["passed"],
    )
    boasting = command("--driver", "tests.conformance.faults:boasting", *given[2:], "limits.threads")
    assert boasting.returncode == 1
    assert "FAILED" in boasting.stdout


def test_the_command_says_in_a_sentence_what_it_cannot_do(environment: EnvironmentRef) -> None:
    unknown = command("--driver", "process", "--home", warm_folder(), "--only", "nothing")
    assert (unknown.returncode, unknown.stderr) == (2, "No check or area is called nothing.\n")
    missing = command("--driver", "magic")
    assert missing.returncode != 0
    assert "There is no driver 'magic'" in missing.stderr
    assert len(command("--list").stdout.splitlines()) == len(checks())
