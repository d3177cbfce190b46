"""Find the runtime of a command: CODEWORDS_RUNTIME_URL's, else the home's, started if needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from codewords_mcp.cli import _output
from codewords_mcp.cli._client import RuntimeClient, RuntimeEndpoint
from codewords_mcp.errors import InvalidInput
from codewords_mcp.stdio import home, lifecycle, runtime_choice
from codewords_mcp.stdio.settings_conflict import conflict_sentence, ignored_settings

if TYPE_CHECKING:
    from codewords_mcp.settings import Settings

KEY_FILE = "api.key"
"""In the home: the admin key that the runtime made for itself."""


def read_settings() -> Settings:
    """The settings of this environment. Raises InvalidInput for a value that a setting does not take."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from codewords_mcp.settings import Settings

    try:
        return Settings()  # pyright: ignore[reportCallIssue]  # every field has a default, which pyright does not see
    except SettingsError as error:
        raise InvalidInput(
            f"{_variable_of(error)} cannot be used: it is not JSON.",
            hint="docs/reference/settings.md says what it takes.",
        ) from None
    except ValidationError as error:
        # Without the input: it may be a key.
        first = error.errors(include_input=False, include_url=False)[0]
        if first["loc"]:
            name = f"CODEWORDS_{str(first['loc'][0]).upper()}"
        else:
            name = "A CODEWORDS_ variable"

        raise InvalidInput(
            f"{name} cannot be used: {first['msg']}.", hint="docs/reference/settings.md says what it takes."
        ) from error


def _variable_of(error: ValueError) -> str:
    """The variable that could not be read as JSON. The library tells it in its message only."""
    found = re.search(r'field "(\w+)"', str(error))
    if found:
        return f"CODEWORDS_{found[1].upper()}"
    return "A CODEWORDS_ variable"


def connect(*, tell: bool = True) -> RuntimeClient:
    """A client of the runtime that this person's settings name; the home's is started when none runs.

    With `tell`, stderr has what a person should know of it: settings that it ignores, an address that moved.
    Raises StorageFailed and RuntimeUnavailable as `lifecycle.ensure` does.
    """
    return RuntimeClient(endpoint(tell=tell))


def endpoint(*, tell: bool = True) -> RuntimeEndpoint:
    """Address and key of that runtime. Raises as `connect` does."""
    remote = remote_endpoint()
    if remote is not None:
        return remote
    return _home_endpoint(tell=tell)


def remote_endpoint() -> RuntimeEndpoint | None:
    """The runtime elsewhere that CODEWORDS_RUNTIME_URL or the home names, or None where the home's own is meant."""
    read_settings()
    choice = runtime_choice.read(home.home_folder())
    if choice.kind != runtime_choice.REMOTE:
        return None
    return RuntimeEndpoint(choice.url.rstrip("/"), choice.key)


def is_elsewhere() -> bool:
    """Whether this terminal's runtime has its home elsewhere: on another machine, or in a container."""
    kind = runtime_choice.read(home.home_folder()).kind
    return kind in {runtime_choice.REMOTE, runtime_choice.CONTAINER}


def _home_endpoint(*, tell: bool) -> RuntimeEndpoint:
    folder = home.home_folder()
    info = home.find(folder)
    if info is None:
        with _output.spinner("Starting the runtime") as say:
            info = lifecycle.ensure(folder, say=say)
        # Only by the command that started it: later ones would repeat it each time.
        if info.missed_port and tell:
            _tell_of_moved_address(info)
    elif tell and (ignored := ignored_settings(read_settings(), info.settings, info.token)):
        _output.note(conflict_sentence(ignored), "yellow", always=True)
    return RuntimeEndpoint(info.url, info.token)


def _tell_of_moved_address(info: home.RuntimeInfo) -> None:
    sentence = (
        f"Another program has port {info.missed_port} of this home: the runtime is at {info.url} meanwhile, and addresses "
        "given out before do not answer. `codewords doctor` says what to do."
    )
    _output.note(sentence, "yellow", always=True)


def key_file() -> Path | None:
    """The file that holds the home's admin key, or None where the key is CODEWORDS_API_KEY."""
    path = Path(home.home_folder()) / KEY_FILE
    if not read_settings().api_key and path.is_file():
        return path
    return None
