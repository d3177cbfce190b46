"""`python -m codewords_testing.pipedream --port 8766`: the stand-in alone, until it is told to end."""

from __future__ import annotations

import argparse
import sys
import threading

from codewords_testing.pipedream import LoopbackConnect, serving


def main() -> None:
    """Serve, printing the address and the credentials first."""
    parser = argparse.ArgumentParser(description="Pipedream Connect on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")

    with serving(LoopbackConnect(port=parser.parse_args().port)) as running:
        lines = [f"CODEWORDS_PIPEDREAM_BASE_URL={running.url}"]
        lines += [f"{name}={value}" for name, value in running.credentials.items()]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
