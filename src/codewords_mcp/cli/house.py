"""`stop`: end the home's runtime."""

from __future__ import annotations

from codewords_mcp import home
from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import Client
from codewords_mcp.cli._connect import remote_endpoint
from codewords_mcp.cli._refs import AsJson


def stop(as_json: AsJson = False) -> int:
    """End the home's runtime; what is deployed stays, and the next command starts it again.

    With CODEWORDS_RUNTIME_URL set, the runtime there is asked to end; that needs an admin key.
    """
    remote = remote_endpoint()
    if remote is not None:
        with Client(remote) as client:
            client.call("POST", "/stop")
        stopped, url, pid = True, remote.url, None
    else:
        with _output.spinner("Waiting for the runtime to end"):
            info = home.stop(home.home_folder())
        stopped, url, pid = info is not None, info and info.url, info and info.pid
    if as_json:
        _output.print_json({"stopped": stopped, "url": url, "pid": pid})
    elif stopped:
        _output.line(f"The runtime at {url} has ended.")
    else:
        _output.line("No runtime was running.")
    return OK
