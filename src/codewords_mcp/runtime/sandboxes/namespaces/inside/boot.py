"""Starts the workflow in its own Python: runs /app/main.py as `__main__`, with uvicorn serving on the socket passed in.

Runs under the environment's interpreter, whatever its version from 3.8 on, so: old syntax, and little of the standard
library. Arguments: the script, file descriptors of the listening socket and of the channel to process 1, and PORT.
"""

from __future__ import annotations

import json
import os
import sys

# As in typing, without importing it: this file runs before the program and its imports count.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
    from typing import Any


def _report(channel: int, message: dict[str, Any]) -> None:
    """Send a message to process 1; a channel that is gone is no reason to stop serving."""
    try:
        os.write(channel, json.dumps(message).encode())
    except OSError:
        pass


class _LoadedModule:
    """Loads a module that is there already."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, _: ModuleSpec) -> ModuleType:
        """Part of the import protocol."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Part of the import protocol: the module has run."""
        module.__spec__ = self._spec


class UvicornHook:
    """Finds `uvicorn.config` and `uvicorn.server` as usual and patches them once they have run.

    In a fork server they run before it is known what they will serve: `serve` says so in the fork, and the first import
    of uvicorn by the program itself is noticed by `forget`ting it before.
    """

    _MODULES = ("uvicorn.config", "uvicorn.server")

    def __init__(self) -> None:
        self.listener = self.channel = -1
        self.port = 0
        self.requested_port: int | None = None
        self.reported = self.restored = False
        self.known: ModuleType | None = None
        # Called once, where the script's server would begin (`snapshot`).
        self.starting: Callable[[], None] | None = None

    def serve(self, listener: int, channel: int, port: int) -> None:
        """Descriptors of the listening socket and of the channel to process 1, and PORT."""
        self.listener = listener
        self.channel = channel
        self.port = port
        # A rehearsal has made servers before.
        self.restored = False

    def forget(self) -> None:
        """Let the next import of uvicorn be seen."""
        # Forgotten already, where an import of it was expected and did not come.
        self.known = sys.modules.pop("uvicorn", self.known)

    def find_spec(self, name: str, path: Sequence[str] | None = None, _: object = None) -> ModuleSpec | None:
        """Part of the import protocol."""
        if name == "uvicorn" and self.known is not None:
            from importlib.machinery import ModuleSpec

            # Process 1 then polls the port rarely: uvicorn reports by itself when it serves.
            _report(self.channel, {"imported": True})
            return ModuleSpec(name, _LoadedModule(self.known), is_package=True)  # type: ignore[arg-type]

        if name not in self._MODULES:
            return None

        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None

        run_module = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run_module(module)
            if name == "uvicorn.config":
                if self.channel >= 0:
                    _report(self.channel, {"imported": True})
                self._patch_config(module.__dict__["Config"])
            else:
                self._patch_server(module.__dict__["Server"])

        spec.loader.exec_module = exec_module

        return spec

    def _patch_config(self, config: Any) -> None:
        import functools
        import inspect

        original = config.__init__
        signature = inspect.signature(original)

        @functools.wraps(original)
        def init(instance: Any, *args: Any, **kwargs: Any) -> None:
            self._start()
            bound = signature.bind(instance, *args, **kwargs)
            requested_port = bound.arguments.get("port", 8000)
            # The program's host and port are replaced by the socket that the runtime connects to. A
            # reload or a second worker would be a process that the sandbox does not watch.
            bound.arguments.update(fd=self.listener, uds=None, reload=False, workers=1)
            # The runtime asks in the clear, over a private socket.
            bound.arguments.pop("ssl_keyfile", None)
            bound.arguments.pop("ssl_certfile", None)
            original(*bound.args, **bound.kwargs)
            self.requested_port = requested_port

        config.__init__ = init

    def _start(self) -> None:
        starting, self.starting = self.starting, None
        if starting is not None:
            starting()
        if not self.restored:
            self.restored = True
            # Whether the run went on from a snapshot or not: a script has one place for what belongs to a run.
            after = getattr(sys.modules["__main__"], "__after_restore__", None)
            if callable(after):
                after()

    def _patch_server(self, server: Any) -> None:
        import functools

        original = server.startup

        @functools.wraps(original)
        async def startup(instance: Any, sockets: Any = None) -> None:
            await original(instance, sockets=sockets)
            # Only the server that took our listener: a program may run a second one on sockets of
            # its own.
            if not sockets and not self.reported and getattr(instance, "started", True):
                self.reported = True
                _report(
                    self.channel,
                    {"serving": None if self.requested_port == self.port else self.requested_port},
                )

        server.startup = startup


def _main_module(path: str) -> ModuleType:
    """A `__main__` as the interpreter itself makes it: forward references, pickling and multiprocessing look into it."""
    from importlib.machinery import SourceFileLoader
    from types import ModuleType

    module = ModuleType("__main__")
    module.__dict__.update(
        __file__=path,
        __builtins__=sys.modules["builtins"],
        __loader__=SourceFileLoader("__main__", path),
        __annotations__={},
        __cached__=None,
    )

    return module


def run(path: str, hook: UvicornHook, code: CodeType | None = None) -> None:
    """Run the script; its exceptions are shown without the frames of this file. `code` is what it compiles to, if known.

    Raises SystemExit, as the script does or where it failed.
    """
    sys.argv = [path]
    sys.path[0] = os.path.dirname(path)
    # Else a process that the program starts could keep the listener open.
    os.set_inheritable(hook.listener, False)
    os.set_inheritable(hook.channel, False)
    module = _main_module(path)
    sys.modules["__main__"] = module

    try:
        if code is None:
            # As text: of bytes the compiler would decode what a cookie says (PEP 263), and so run other code than was read.
            with open(path, encoding="utf-8-sig", newline="") as file:
                # Compiled here and not by runpy, whose frames would stand in tracebacks.
                # `dont_inherit`: this file's own `from __future__` must not apply to the program.
                code = compile(file.read(), path, "exec", dont_inherit=True)
        exec(code, module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
            traceback = traceback.tb_next
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
        raise SystemExit(1) from None


def main() -> None:
    """Be the program of an interpreter that was started for it."""
    hook = UvicornHook()
    hook.serve(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    # First in the list, so that it sees uvicorn before the ordinary finder does.
    sys.meta_path.insert(0, hook)  # type: ignore[arg-type]
    run(sys.argv[1], hook)


if __name__ == "__main__":
    main()
