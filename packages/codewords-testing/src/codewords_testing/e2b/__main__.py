"""`python -m codewords_testing.e2b`: a loopback E2B until Ctrl-C, with the variables that point an SDK at it."""

from __future__ import annotations

import asyncio
import sys

from codewords_testing.e2b import loopback_e2b, unavailable


async def _main() -> int:
    reason = await unavailable()
    if reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    async with loopback_e2b() as e2b:
        sys.stdout.write("".join(f"export {name}={value}\n" for name, value in e2b.environment.items()))
        sys.stdout.flush()
        await asyncio.Event().wait()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(_main()))
    except KeyboardInterrupt:
        sys.exit(0)
