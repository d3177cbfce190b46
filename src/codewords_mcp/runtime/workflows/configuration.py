"""Plain configuration values of a workflow: checked when they are set, and what a person should know of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from codewords_mcp.errors import Forbidden, InvalidInput
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.validation.variables import PROVIDED

MAX_VALUES: Final = 100
MAX_VALUE_BYTES: Final = 8192
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_SET_BY_RUNTIME = re.compile(
    r"PIPEDREAM_[A-Z0-9_]+_ACCESS|(OPENAI|ANTHROPIC|GEMINI|GOOGLE)_API_KEY(_\d{1,2})?"
)
"""Variables of connected accounts, and keys of model providers, for which a run gets its own."""


def check_values(values: Mapping[str, str]) -> None:
    """Raise InvalidInput for values that no run could be given, or that belong into secrets."""
    # A start need not compile its patterns.
    from codewords_mcp.runtime.workflows.validation.leaks import vendor_secret

    if len(values) > MAX_VALUES:
        raise InvalidInput(f"A workflow has at most {MAX_VALUES} configuration values.")
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                "A configuration value has a name that no variable can have.",
                hint="Letters, digits and underscores, at most 64, as in `REPORT_LIMIT`.",
            )
        if name in PROVIDED or _SET_BY_RUNTIME.fullmatch(name):
            raise InvalidInput(f"`{name}` is set by the runtime, so it is no configuration value.")
        if "\0" in value or len(value.encode()) > MAX_VALUE_BYTES:
            raise InvalidInput(
                f"The value of `{name}` is no text of at most {MAX_VALUE_BYTES} bytes.",
                hint="Keep larger content in a file or in the workflow's database.",
            )
        if kind := vendor_secret(value):
            raise InvalidInput(
                f"The value of `{name}` looks like {kind}, which everybody could read here.",
                remedy=set_secret(name),
            )


def check_addresses(
    caller: Caller, manifest: Manifest | None, before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    """Raise Forbidden where a key that agrees to nothing changes a variable whose value is a host that may be reached."""
    if caller.agrees or manifest is None:
        return
    for name in manifest.addresses:
        if before.get(name) != after.get(name):
            raise Forbidden(
                f"`{name}` names a host that the workflow may reach; this key may not choose it.",
                hint="Set it with a key of the scope `write`: it is a permission.",
            )


def config_notes(values: Mapping[str, str], script: Script, secrets: Collection[str]) -> list[str]:
    """Sentences on values that reach no run: a secret has the name, or the live version declares no such variable."""
    declared = {variable.name for variable in script.env}
    notes: list[str] = []
    for name in values:
        if name not in declared:
            notes.append(f"{name} is not declared in `env_vars` of the live version, which does not get it.")
        elif name in secrets:
            notes.append(f"{name} is a secret as well, which is what runs get.")
    return notes
