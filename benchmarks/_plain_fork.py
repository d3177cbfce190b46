"""The fork server without any isolation: what the same fork costs by itself. Started by `sandbox_start.py`.

Arguments: the folder of the product's `inside` package, the environment's packages, a descriptor to be told on.
"""

import os
import signal
import socket
import sys

sys.path[0] = sys.argv[1]
sys.path.append(sys.argv[2])

from inside import ahead, boot, init, preload, warm  # noqa: E402

del sys.path[0]  # its neighbours have names that others use


def main():
    """As `zygote`: import, warm up, fork when told; the child serves on the socket that came along."""
    control = socket.socket(fileno=int(sys.argv[3]))
    hook = boot.UvicornHook()
    sys.meta_path.insert(0, hook)
    preload.run(sys.argv[2], preload.Absent(frozenset()))
    for _ in range(3):
        warm.serving(hook, loop="asyncio")
    preload.settle()
    helper = ahead.Helper(ahead.learn(lambda: warm.serving(hook, loop="auto")))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control.send(b"ready")
    while True:
        script, fds, _, _ = socket.recv_fds(control, 4096, 1)
        if not script:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            control.close()
            os.dup2(init.above(fds[0], init.BOOT_FD), init.LISTENER_FD)
            os.dup2(os.open("/dev/null", os.O_WRONLY), init.BOOT_FD)
            os.environ.update({"PORT": "8000", "LOGLEVEL": "INFO"})
            hook.serve(init.LISTENER_FD, init.BOOT_FD, 8000)
            hook.forget()
            return lambda: boot.run(script.decode(), hook)
        os.close(fds[0])
        control.send(b"%d" % pid)
        helper.help(pid, control.fileno())


main()()
