"""`python -m codewords_testing.providers --port 9100`: the stand-ins alone, until they are told to end."""

from __future__ import annotations

import argparse
import asyncio
import sys

from codewords_testing.providers import LoopbackProviders


async def _serve(port: int) -> None:
    providers = LoopbackProviders()
    server = await providers.start(port)
    sys.stdout.write(f"{providers.url}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """Serve, printing the address first."""
    parser = argparse.ArgumentParser(description="OpenAI, Anthropic and Gemini stand-ins on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    runner = asyncio.run

    # Faster, where it is installed: a benchmark must not measure the stand-in.
    try:
        import uvloop

        runner = uvloop.run
    except ImportError:
        pass

    runner(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
