"""The machine code of snapshots is what its comments say, and goes on where it left."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codewords_mcp.runtime.sandboxes.namespaces.inside import image, mapped

pytestmark = [
    pytest.mark.requirement("sandbox:snapshots"),
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64", reason="its machine code is of x86-64"
    ),
]


@pytest.mark.needs("assembler")
def test_the_machine_code_is_what_its_comments_say(tmp_path: Path) -> None:
    source = Path(image.__file__).read_text(encoding="utf-8")
    parts = re.findall(r"((?:^#   .*\n)+)^(?:LEAVE|ENTER): Final = ", source, re.MULTILINE)
    text = "\n".join(line.removeprefix("#") for part in parts for line in part.splitlines())
    assembly = re.sub(r";\s*", "\n", text).replace("next: ", "next:\n").replace("done: ", "done:\n")
    assembly = re.sub(r"(fldcw|ldmxcsr|stmxcsr|fnstcw) ", r"\1 ", assembly)
    (tmp_path / "image.s").write_text(f".intel_syntax noprefix\n{assembly}\n", encoding="utf-8")
    subprocess.run(["as", "-o", "image.o", "image.s"], cwd=tmp_path, check=True)
    subprocess.run(
        ["objcopy", "-O", "binary", "-j", ".text", "image.o", "image.bin"], cwd=tmp_path, check=True
    )
    assert (tmp_path / "image.bin").read_bytes() == image.LEAVE + image.ENTER


BEGIN = """
import json, mmap, os, sys
sys.path.insert(0, {folder!r})
from inside import image, mapped, syscalls

if why := image.possible():
    print(json.dumps(why))
    sys.exit()
"""
PROGRAM = """
before = mapped.areas()
fd = os.memfd_create("image")
pid = os.fork()
if pid == 0:
    kept = list(range(200_000))
    note = image.take(fd, before, lambda files: b"", 1 << 30)
    kept.extend(range(1_000_000))
    print(json.dumps([note, len(kept), os.getpid() == note["pid"]]), flush=True)
    os._exit(5)
assert os.waitpid(pid, 0)[1] == 0
for number in range(2):
    pid = os.fork()
    if pid == 0:
        image.enter(fd, [], json.dumps({"number": number, "pid": os.getpid()}).encode())
    assert os.waitpid(pid, 0)[1] >> 8 == 5
"""


def test_forks_go_on_as_another_did() -> None:
    lines = _said(PROGRAM)
    assert [[said[0]["number"], *said[1:]] for said in lines] == [[0, 1_200_000, True], [1, 1_200_000, True]]


LATE = """
kept, plans = [], []
settled = mapped.Listing.is_equal

def late(self, other):
    # After the last look at the plan, as an allocator does that has no room left.
    equal = settled(self, other)
    if equal and not kept:
        kept.append(mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        kept[0][-4:] = b"late"
    return equal

mapped.Listing.is_equal = late
before = mapped.areas()
fd = os.memfd_create("image")
pid = os.fork()
if pid == 0:
    image.take(fd, before, lambda files: plans.append(files) or b"", 1 << 30)
    print(json.dumps([kept[0][-4:].decode(), len(plans)]), flush=True)
    os._exit(5)
taken = os.waitpid(pid, 0)[1]
pid = os.fork()
if pid == 0:
    image.enter(fd, [], b"{}")
print(json.dumps([taken, os.waitpid(pid, 0)[1] >> 8]))
"""


def test_memory_that_is_mapped_after_the_plan_was_compared_is_in_the_image() -> None:
    said = _said(LATE)
    assert said[1] == [0, 5]
    assert said[0][0] == "late"
    assert said[0][1] >= 2


CALLS = """
number = syscalls.numbers()
fd = os.memfd_create("short")
os.ftruncate(fd, 100)
end = image._sbrk(0)
ends = []
for call, arguments, result in (
    ("brk", (end,), end),
    ("brk", (1 << 46,), 1 << 46),
    ("pread64", (fd, image._NOTE + 64, 100, 0), 100),
    ("pread64", (fd, image._NOTE + 64, 200, 0), 200),
    ("close", (999,), image._ANY),
    ("close", (999,), 0),
):
    pid = os.fork()
    if pid == 0:
        image._map_region(1000)
        calls = image._packed(number[call], *arguments, result=result) + image._END
        image.ctypes.memmove(image._CALLS, calls, len(calls))
        image._function(image._REGION)(image._CALLS, image._REGISTERS)
        os._exit(7)
    ends.append(os.waitpid(pid, 0)[1] >> 8)
print(json.dumps(ends))
"""


def test_a_call_that_does_another_thing_than_it_should_ends_the_process() -> None:
    # Also where the kernel reports no error: the end of the heap stays where it was, a file is shorter.
    assert _said(CALLS) == [[7, 99, 7, 99, 7, 99]]


def _said(program: str) -> list[Any]:
    folder = str(Path(image.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", BEGIN.format(folder=folder) + program],
        capture_output=True,
        check=True,
        timeout=60,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if isinstance(lines[0], str):
        pytest.skip(lines[0])
    return lines


def test_the_mapped_areas_are_the_kernels_own_list() -> None:
    found = mapped.areas()
    assert any(area.name == "[stack]" and "w" in area.rights for area in found)
    assert all(area.start < area.end for area in found)
    assert [area.start for area in found] == sorted(area.start for area in found)
    assert os.path.realpath(sys.executable) in {area.name for area in found}
