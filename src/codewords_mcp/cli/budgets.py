"""`codewords budgets set | list | delete`: ceilings for model calls."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._deletion import deletes, tell_deleted
from codewords_mcp.cli._refs import AsJson, workflow_id
from codewords_mcp.cli.costs import money
from codewords_mcp.errors import InvalidInput

if TYPE_CHECKING:
    from codewords_mcp.cli._client import RuntimeClient

app = typer.Typer(no_args_is_help=True, help="Ceilings for model calls in USD. They are never crossed.")


class BudgetScope(StrEnum):
    """The scope of a budget."""

    call = "call"
    run = "run"
    workflow = "workflow"
    key = "key"
    owner = "owner"
    day = "day"
    home = "home"


class Period(StrEnum):
    """The period after which a budget starts anew, by the calendar in UTC."""

    total = "total"
    month = "month"
    day = "day"


ScopeArgument = Annotated[
    BudgetScope,
    typer.Argument(
        metavar="SCOPE",
        help="Each `call`, `run`, `workflow`, `key` or `owner`; all of this `home`; `day` is the home's for each day.",
        show_default=False,
    ),
]
Of = Annotated[
    str | None,
    typer.Option("--of", metavar="ID", help="One workflow, key or owner only.", show_default=False),
]
Per = Annotated[Period, typer.Option("--per", help="For ever, each month or each day.")]


@app.command("set")
def set_budget(
    scope: ScopeArgument,
    usd: Annotated[float, typer.Argument(min=0, metavar="USD", help="The ceiling.", show_default=False)],
    of: Of = None,
    per: Per = Period.total,
    as_json: AsJson = False,
) -> int:
    """Set a budget. It holds from the next call on."""
    with connect() as client:
        where, subject, period = _target(client, scope, of, per)
        made = client.record(
            "PUT", f"/budgets/{where}", body={"usd": usd, "subject": subject, "period": period}
        )

    if as_json:
        _output.print_json(made)
    else:
        _output.line(
            f"{budget_name(made)}: at most {money(usd)} USD. A call that may cost more than is left is not made."
        )

    return OK


@app.command("list")
def list_budgets(as_json: AsJson = False) -> int:
    """List the budgets, and what is spent of them."""
    with connect() as client:
        items = client.items("/budgets")
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            budget_name(item),
            money(item["usd"]),
            *("" if item[field] is None else money(item[field]) for field in ("spent", "reserved")),
        ]
        for item in items
    ]
    _output.table(
        ["BUDGET", "USD", "SPENT", "RESERVED"],
        rows,
        empty="No budgets. `codewords budgets set run 1` sets one.",
    )
    return OK


@deletes(app)
def delete_budget(
    scope: ScopeArgument, of: Of = None, per: Per = Period.total, as_json: AsJson = False
) -> int:
    """Delete a budget."""
    with connect() as client:
        where, subject, period = _target(client, scope, of, per)
        client.call("DELETE", f"/budgets/{where}", params={"subject": subject, "period": period})
    budget = {"scope": where, "subject": subject, "period": period}
    return tell_deleted(f"{budget_name(budget)}: its budget", budget, as_json=as_json)


def _target(client: RuntimeClient, scope: BudgetScope, of: str | None, per: Period) -> tuple[str, str, str]:
    """Return (scope, subject, period) as the runtime names them. Raises InvalidInput."""
    if scope is BudgetScope.day:
        if of or per is not Period.total:
            raise InvalidInput(
                "`day` is the home's budget for each day.",
                hint="For a workflow: `workflow … --of ID --per day`.",
            )
        return "home", "", "day"

    if of and scope is BudgetScope.workflow:
        subject = workflow_id(client, of)
    else:
        subject = of or ""

    return scope.value, subject, per.value


def budget_name(budget: dict[str, Any]) -> str:
    """A budget for people: `home, each day`."""
    scope, subject, period = budget["scope"], budget["subject"], budget["period"]
    if subject:
        subject_text = f"{scope} {subject}"
    elif scope == "home":
        subject_text = scope
    else:
        subject_text = f"each {scope}"
    if period == "total":
        return subject_text
    return f"{subject_text}, each {period}"
