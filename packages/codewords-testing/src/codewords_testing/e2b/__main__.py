"""`python -m codewords_testing.e2b`: a loopback E2B until Ctrl-C, with the variables that point an SDK at it.

Its machines reach what this machine reaches, at private addresses too, and get the settings of pip and uv from this
environment: the package index that templates are built from may be an operator's own.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping

from codewords_testing.e2b import Internet, Options, loopback_e2b, unavailable

# Templates are built by their own means; what would lead pip and uv to folders of this machine has
# no meaning there.
_INSTALLER_SETTINGS = ("PIP_", "UV_", "SSL_", "REQUESTS_")
_LOCAL_SETTINGS = {"UV_CACHE_DIR", "PIP_CACHE_DIR", "UV_PYTHON_INSTALL_DIR"}


def installer_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that say where pip and uv find packages, without those of this machine's folders."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_INSTALLER_SETTINGS) and name not in _LOCAL_SETTINGS
    }


async def _main() -> int:
    reason = await unavailable()
    if reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    options = Options(env=installer_settings(os.environ))
    async with loopback_e2b(options, Internet(real=True)) as e2b:
        sys.stdout.write("".join(f"export {name}={value}\n" for name, value in e2b.environment.items()))
        sys.stdout.flush()
        await asyncio.Event().wait()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(_main()))
    except KeyboardInterrupt:
        sys.exit(0)
