"""Imports that a fork server makes before the first program: well-known packages that do nothing at import.

Only names of this list, and only where the environment has the distribution that they belong to: whatever else a
workflow needs it imports itself, in its own sandbox. Every fork starts with these, warmed up (`warm`).

The server sees no other package than those that it may import (`rootfs.cover_environment`). A package that looks for one
that only programs see would remember in every fork that it is not there; so it is left to the programs too (`Absent`).
"""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import ssl
import sys
from typing import Final

_STANDARD: Final = (
    "asyncio", "concurrent.futures.thread", "contextvars", "csv", "dataclasses", "datetime", "decimal",
    "email.message", "email.mime.multipart", "email.mime.text", "email.parser", "encodings.idna", "enum", "functools",
    "hashlib", "hmac", "html", "http.client", "http.cookies", "inspect", "io", "ipaddress", "json", "logging.config",
    "logging.handlers", "mimetypes", "multiprocessing", "pathlib", "pprint", "queue", "random", "secrets", "shutil",
    "ssl", "statistics", "string", "subprocess", "tempfile", "textwrap", "typing", "unicodedata", "urllib.parse",
    "urllib.request", "uuid", "xml.etree.ElementTree", "zipfile", "zoneinfo",
)  # fmt: skip
PACKAGES: Final[dict[str, tuple[str, ...]]] = {
    "typing-extensions": ("typing_extensions",),
    "annotated-types": ("annotated_types",),
    "pydantic-core": ("pydantic_core",),
    "pydantic": ("pydantic", "pydantic.networks", "pydantic.deprecated.class_validators"),
    "pydantic-settings": ("pydantic_settings",),
    "anyio": ("anyio", "anyio._backends._asyncio", "anyio.to_thread"),
    "starlette": (
        "starlette.applications", "starlette.middleware.cors", "starlette.responses", "starlette.staticfiles",
        "starlette.websockets",
    ),
    "fastapi": (
        "fastapi", "fastapi.encoders", "fastapi.exceptions", "fastapi.middleware.cors", "fastapi.openapi.utils",
        "fastapi.responses", "fastapi.security",
    ),
    "h11": ("h11",),
    "httptools": ("httptools",),
    "uvloop": ("uvloop",),
    "websockets": ("websockets", "websockets.legacy.server", "websockets.legacy.handshake"),
    "click": ("click",),
    "uvicorn": (
        "uvicorn", "uvicorn.lifespan.on", "uvicorn.lifespan.off", "uvicorn.logging", "uvicorn.loops.auto",
        "uvicorn.loops.uvloop", "uvicorn.middleware.proxy_headers", "uvicorn.protocols.http.auto",
        "uvicorn.protocols.http.h11_impl", "uvicorn.protocols.http.httptools_impl",
        "uvicorn.protocols.websockets.auto", "uvicorn.protocols.websockets.websockets_impl",
        "uvicorn.protocols.websockets.websockets_sansio_impl",
    ),
    "httpcore": ("httpcore",),
    "certifi": ("certifi",),
    "httpx": ("httpx",),
    "requests": ("requests",),
    "structlog": ("structlog", "structlog.stdlib"),
    "python-dotenv": ("dotenv",),
    "python-multipart": ("python_multipart",),
    "jinja2": ("jinja2",),
    "beautifulsoup4": ("bs4",),
    "tenacity": ("tenacity",),
    "codewords-client": ("codewords_client",),
    "openai": ("openai", "openai.resources.chat", "openai.resources.responses"),
    "anthropic": ("anthropic", "anthropic.resources.messages"),
    "slack-sdk": ("slack_sdk", "slack_sdk.web.async_client"),
    "greenlet": ("greenlet",),
    "playwright": ("playwright.async_api",),
    "numpy": ("numpy", "numpy.random"),
    "python-dateutil": ("dateutil.parser", "dateutil.tz"),
    "pandas": ("pandas",),
}  # fmt: skip
# Python 3.10 and later tell.
_STANDARD_NAMES: Final[frozenset[str]] = getattr(sys, "stdlib_module_names", frozenset())


class Absent:
    """A finder that says of some top names that they are not there. `importers`: packages that looked for one."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.importers: set[str] = set()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:  # noqa: ARG002
        """Part of the import protocol."""
        if name not in self.names:
            return
        frame = inspect.currentframe()
        frame = frame and frame.f_back
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        asking = str(frame.f_globals.get("__name__")).partition(".")[0] if frame else ""
        # The standard library looks for modules of other systems.
        if asking not in _STANDARD_NAMES:
            self.importers.add(asking)
        # Not left to the next finder: a package that is left out may be in sight.
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def run(packages: str, absent: Absent) -> list[str]:
    """Import what is there of the list; the names. Raises ImportError where a module of an installed package is broken.

    A module that this version of its package does not have is fine, and so is one that needs what is `absent`. The garbage
    collector stays off until `settle`: modules are no garbage, and looking for it took a quarter of the time.
    """
    gc.disable()
    imported: list[str] = []
    if packages:
        installed = _installed(packages)
    else:
        installed = frozenset[str]()

    candidates = [
        *_STANDARD,
        *(name for package, names in PACKAGES.items() if package in installed for name in names),
    ]
    for name in candidates:
        top = name.partition(".")[0]
        if top in absent.names:
            continue
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        except BaseException as error:
            if top in absent.importers:
                continue
            # sys.exit too. The server is refused then, and the program itself meets the error.
            raise ImportError(f"{name}: {type(error).__name__}") from error

        imported.append(name)

    _end_workers()
    return imported


def _end_workers() -> None:
    """Have OpenBLAS, and so numpy, end its threads, as it does before each fork. A program that needs some makes them anew."""
    if "numpy" not in sys.modules or len(os.listdir("/proc/self/task")) == 1:
        return
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _installed(packages: str) -> frozenset[str]:
    """Normalised names of the distributions in a folder of packages."""
    return frozenset(
        name.partition("-")[0].lower().replace("_", "-").replace(".", "-")
        for name in os.listdir(packages)
        if name.endswith(".dist-info")
    )


def trusting() -> list[ssl.SSLContext]:
    """TLS contexts that packages made at import, such as aiohttp's, and that verify hosts. Call before `settle`."""
    kinds = [ssl.SSLContext, *ssl.SSLContext.__subclasses__()]
    # An object refers to its class. To look at each object's type would take three times as long, and frozen
    # ones are not looked at any more.
    contexts: list[ssl.SSLContext] = [
        found
        for found in gc.get_referrers(*kinds)
        if type(found) in kinds  # `isinstance` wakes lazy proxies
    ]
    return [context for context in contexts if context.verify_mode is not ssl.CERT_NONE]


def settle() -> None:
    """Leave nothing for the first fork to collect, and let no collection touch what forks share."""
    # Buffered output would be written once more by every fork.
    sys.stdout.flush()
    sys.stderr.flush()
    importlib.invalidate_caches()
    # Frozen objects are left out of collections, which would write to shared pages of each fork.
    # The little garbage among them is not worth a collection: the process is as large with one.
    gc.freeze()
    gc.enable()
