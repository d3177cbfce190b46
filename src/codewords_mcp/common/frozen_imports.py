"""Import modules that stay for the life of the process, at the lowest cost."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext


@contextmanager
def loading(*, models: bool = True) -> Generator[None]:
    """Import without the garbage collector, and without building the validators of models.

    The 150,000 objects of the runtime's modules are never garbage. Collecting them took a third of
    the process's start and end. A process uses a tenth of the models that it imports: each builds its
    validator when it is first used. `models`: whether the modules have any; without them pydantic is not imported.
    """
    gc.disable()
    try:
        with _models_deferred() if models else nullcontext():
            yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _models_deferred() -> Generator[None]:
    """Make `defer_build` the default of pydantic's models, those of the MCP SDK too."""
    try:
        # No public API sets a default for models of others.
        from pydantic._internal._config import config_defaults
    except ImportError:
        yield
        return

    config_defaults["defer_build"] = True
    try:
        yield
    finally:
        config_defaults["defer_build"] = False


def without_model_plugins() -> None:
    """Keep pydantic from reading the metadata of every installed package for plugins, in this process."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


@contextmanager
def hidden(name: str) -> Generator[None]:
    """Make a package that is not imported yet look absent.

    For code that imports it if it can and does without it otherwise.
    """
    if name in sys.modules:
        yield
        return

    sys.modules[name] = None  # pyright: ignore[reportArgumentType]  # the documented way to say "not importable"
    try:
        yield
    finally:
        del sys.modules[name]
