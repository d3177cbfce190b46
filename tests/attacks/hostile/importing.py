"""What an author has imported: ends a process that may do more than a program may, and says so otherwise."""

import os

with open("/proc/self/status", encoding="ascii") as _file:
    _fields = dict(line.split(":", 1) for line in _file)
CAPABLE = int(_fields["CapEff"], 16) != 0
if CAPABLE:
    os.write(2, f"{__name__} was imported by a server\n".encode())
    os._exit(9)
