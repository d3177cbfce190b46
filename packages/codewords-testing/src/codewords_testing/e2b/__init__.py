"""A loopback E2B: the control plane and the sandboxes of e2b.dev on this host, for tests with the real SDK.

    async with loopback_e2b() as e2b:
        sandbox = await AsyncSandbox.create(**e2b.options)
        await sandbox.commands.run("echo hello")

Commands and servers are real processes, each sandbox a machine of its own (Linux, as root or as an ordinary user). It
follows E2B's public sources where its documents are silent. In a shell: `python -m codewords_testing.e2b`.
"""

from codewords_testing.e2b.errors import MachineFailed
from codewords_testing.e2b.faults import Fault, Faults
from codewords_testing.e2b.internet import Internet
from codewords_testing.e2b.server import LoopbackE2B, loopback_e2b, unavailable
from codewords_testing.e2b.state import CloudTemplate, Options

__all__ = [
    "CloudTemplate",
    "Fault",
    "Faults",
    "Internet",
    "LoopbackE2B",
    "MachineFailed",
    "Options",
    "loopback_e2b",
    "unavailable",
]
