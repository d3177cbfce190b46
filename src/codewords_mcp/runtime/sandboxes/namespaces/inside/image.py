"""The memory of a program as a file, from which another fork of the same fork server goes on where that one stopped.

Forks of one server have their libraries, stack and system data at the same addresses. So a fork that replaces its writable
memory by another's, maps what that had mapped beside, and takes over its registers, goes on as the other. It keeps what
the kernel holds of it: namespaces, rights, filter, limits, descriptors. Both ends are in the program's sandbox, and locked
down before they begin: an image is a program's own data, as its script is.

The machine's code is a list of system calls that runs while no memory of Python may change: when an image is taken, it writes
each area to the file; when it is entered, it puts each back.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import re
import struct
from collections.abc import Callable
from typing import Any, Final, NoReturn

from . import linux, mapped, syscalls

BROKEN: Final = 99
"""The exit code of a process in which a call had another result than it should."""
IMAGE_FD: Final = 5
"""The image while it is entered; after it come the files that the program had mapped."""
_MACHINE: Final = "x86_64"
# leave(calls, registers): keep what a function has to keep, and where to return to.
#   mov [rsi],rbx; mov [rsi+8],rbp; mov [rsi+16],r12; mov [rsi+24],r13; mov [rsi+32],r14; mov [rsi+40],r15
#   mov rax,[rsp]; mov [rsi+48],rax; lea rax,[rsp+8]; mov [rsi+56],rax; stmxcsr [rsi+64]; fnstcw [rsi+68]
LEAVE: Final = bytes.fromhex(
    "48891e48896e084c8966104c896e184c8976204c897e28488b042448894630488d442408488946380fae5e40d97e44"
)
# enter(calls, registers), which leave goes on with: make each call, of seven words; end the process by 99 if its result is not
# the eighth, which is -1 for any. After a number below zero return 1 from where `leave` was called.
#   mov r12,rdi; mov r13,rsi
#   next: mov rax,[r12]; test rax,rax; js done; mov rdi,[r12+8]; mov rsi,[r12+16]; mov rdx,[r12+24]; mov r10,[r12+32]
#   mov r8,[r12+40]; mov r9,[r12+48]; syscall; mov rdx,[r12+56]; add r12,64; cmp rax,rdx; je next; cmp rdx,-1; je next
#   mov edi,99; mov eax,231; syscall
#   done: mov rbx,[r13]; mov rbp,[r13+8]; mov r12,[r13+16]; mov r14,[r13+32]; mov r15,[r13+40]; fldcw [r13+68]
#   ldmxcsr [r13+64]; mov rsp,[r13+56]; mov rdx,[r13+48]; mov r13,[r13+24]; mov eax,1; jmp rdx
ENTER: Final = bytes.fromhex(
    "4989fc4989f5498b04244885c07840498b7c2408498b742410498b5424184d8b5424204d8b4424284d8b4c24300f05498b54"
    "24384983c4404839d074c94883faff74c3bf63000000b8e70000000f05498b5d00498b6d084d8b65104d8b75204d8b7d2841"
    "d96d44410fae5540498b6538498b55304d8b6d18b801000000ffe2"
)
_CALL: Final = struct.Struct("<8q")
_END: Final = _CALL.pack(-1, *[0] * 7)
_ANY: Final = -1
# Addresses that no program gets by itself: code, registers, calls, the note for the one who goes on.
_REGION: Final = 0x2000_0000_0000
_REGION_RESERVED: Final = 1 << 30
_REGISTERS: Final = _REGION + 0x1000
_CALLS: Final = _REGION + 0x2000
_CALLS_SIZE: Final = 1 << 20
_NOTE: Final = _CALLS + _CALLS_SIZE
# Where in the file: registers; the calls, after their length; the areas.
_REGISTERS_AT: Final = 1 << 16
_CALLS_AT: Final = _REGISTERS_AT + 0x1000
_AREAS_AT: Final = 2 << 20
_PAGE: Final = 4096
_STACK_ROOM: Final = 8 << 20
_USER_END: Final = 1 << 47
_MAX_FILES: Final = 256
_MAX_PLANS: Final = 8
_READ, _WRITE, _EXEC = 1, 2, 4
_PRIVATE, _FIXED, _ANONYMOUS, _NOREPLACE = 0x02, 0x10, 0x20, 0x10_0000
_WIPE_ON_FORK: Final = 18
_GET_TID_ADDRESS: Final = 40

_libc = ctypes.CDLL(None, use_errno=True)
_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
_mprotect = _libc.mprotect
_mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_munmap = _libc.munmap
_munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_sbrk = _libc.sbrk
_sbrk.restype = ctypes.c_void_p
_sbrk.argtypes = (ctypes.c_ssize_t,)


class Unfit(Exception):
    """This process can't be kept as an image; says why."""


def possible() -> str:
    """The reason why this process can have no image whatever it does; "" if there is none."""
    if platform.machine() != _MACHINE:
        return f"this works on {_MACHINE} machines only so far"
    if not platform.libc_ver()[0].startswith("glibc"):
        return "its Python was not built for glibc"
    with open("/proc/self/status", encoding="utf-8") as file:
        if re.search(r"^x86_Thread_features:.*shstk", file.read(), re.MULTILINE):
            return "this machine keeps a shadow stack"
    if _thread_number() is None:
        return "this kernel was built without CONFIG_CHECKPOINT_RESTORE"
    return ""


class ImagePlan:
    """The calls that write this process's memory to `fd`, and those by which another gets it back. `before` is what
    the server had mapped.
    """

    def __init__(self, layout: list[mapped.MappedArea], before: list[mapped.MappedArea], fd: int) -> None:
        self.layout = layout
        self.files: list[str] = []
        self.size = _AREAS_AT
        self.takes: list[bytes] = []
        self.enters: list[bytes] = []
        self._fd = fd
        self._unchanged = {area.place for area in before if "w" not in area.rights and area.name}
        self._before = {(area.start, area.end) for area in before}
        self._wiped = mapped.wiped_areas()
        self._numbers = syscalls.numbers(_MACHINE)
        self._make()

    def _make(self) -> None:
        if any(area.name == "[heap]" for area in self.layout):
            end = _sbrk(0)
            # It tells of no error, but gives where the end is.
            self._enter("brk", end, result=end)
        free = 0x1_0000
        for area in self.layout:
            if area.start >= _USER_END:
                break  # the kernel's own
            start = area.start - (_STACK_ROOM if area.name == "[stack]" else 0)
            self._clear(free, start)
            free = max(free, area.end)
            self._add(area)
        for opened in range(IMAGE_FD, IMAGE_FD + 1 + len(self.files)):
            self._enter("close", opened)

    def _clear(self, start: int, end: int) -> None:
        """Have nothing mapped in between, but our own region."""
        region_end = _REGION + _REGION_RESERVED
        for low, high in ((start, min(end, _REGION)), (max(start, region_end), end)):
            if low < high:
                self._enter("munmap", low, high - low)

    def _add(self, area: mapped.MappedArea) -> None:
        if (
            _REGION <= area.start < _REGION + _REGION_RESERVED
            or area.name.startswith("[v")
            or area.place in self._unchanged
        ):
            return
        if area.start in self._wiped:
            self._add_wiped(area)
            return
        # A file that is only read is the same either way: glibc shares its tables of encodings.
        if "s" in area.rights and ("w" in area.rights or not area.name.startswith("/")):
            raise Unfit("it shares memory")
        if area.name == "[stack]":
            self._copy(area.start, area.end)
        elif area.name.startswith("/"):
            self._add_file(area)
        elif not area.name or area.name == "[heap]" or area.name.startswith("[anon"):
            self._add_anonymous(area)
        else:
            raise Unfit(f"it has memory of a kind that is not known here ({area.name})")

    def _add_wiped(self, area: mapped.MappedArea) -> None:
        """Leave out memory that the kernel empties in a fork: states of random generators, which no two runs may share."""
        if (area.start, area.end) not in self._before:
            self._map_nothing(area.start, area.end, area.protection)
            self._enter("madvise", area.start, area.end - area.start, _WIPE_ON_FORK)

    def _add_file(self, area: mapped.MappedArea) -> None:
        if "w" in area.rights:
            self._map_image(area.start, area.end, area.protection)
            return
        if area.name.endswith(" (deleted)"):
            raise Unfit("it uses a file that was deleted")
        if area.name not in self.files:
            self.files.append(area.name)
        if len(self.files) > _MAX_FILES:
            raise Unfit(f"it uses more than {_MAX_FILES} libraries")
        own = list(mapped.own_pages(area))
        opened = IMAGE_FD + 1 + self.files.index(area.name)
        # What was written before the area became read-only: addresses, by the linker.
        protection = area.protection | (_WRITE if own else 0)
        self._map(area.start, area.end, protection, _PRIVATE, opened, area.offset)
        for start, end in own:
            self._copy(start, end)
        if own:
            self._enter("mprotect", area.start, area.end - area.start, area.protection)

    def _add_anonymous(self, area: mapped.MappedArea) -> None:
        if "r" not in area.rights:
            self._map_nothing(area.start, area.end, area.protection)
        elif "w" not in area.rights:
            self._map_copied(area.start, area.end, area.protection)
        elif area.name == "[heap]":
            self._map_image(area.start, area.end, area.protection)
        else:
            done = area.start
            for start, end in mapped.large_pieces(area):
                self._map_image(done, start, area.protection)
                # glibc grows them by mremap(2), which would show what follows in the file.
                self._map_copied(start, end, area.protection)
                done = end
            self._map_image(done, area.end, area.protection)

    def _map_image(self, start: int, end: int, protection: int) -> None:
        if start < end:
            self._map(start, end, protection, _PRIVATE, IMAGE_FD, self.size)
            self._take(start, end)

    def _map_copied(self, start: int, end: int, protection: int) -> None:
        self._map_nothing(start, end, protection | _WRITE)
        self._copy(start, end)
        if not protection & _WRITE:
            self._enter("mprotect", start, end - start, protection)

    def _map_nothing(self, start: int, end: int, protection: int) -> None:
        self._map(start, end, protection, _PRIVATE | _ANONYMOUS, -1, 0)

    def _map(self, start: int, end: int, protection: int, flags: int, fd: int, offset: int) -> None:
        self._enter("mmap", start, end - start, protection, flags | _FIXED, fd, offset, result=start)

    def _copy(self, start: int, end: int) -> None:
        size = end - start
        self._enter("pread64", IMAGE_FD, start, size, self.size, result=size)
        self._take(start, end)

    def _take(self, start: int, end: int) -> None:
        self.takes.append(self._write(start, end - start, self.size))
        self.size += end - start

    def _write(self, start: int, size: int, offset: int) -> bytes:
        return _packed(self._numbers["pwrite64"], self._fd, start, size, offset, result=size)

    def _enter(self, call: str, *arguments: int, result: int = 0) -> None:
        self.enters.append(_packed(self._numbers[call], *arguments, result=result))

    def finish(self, planned: mapped.Listing, current: mapped.Listing) -> bytes:
        """The calls that write all to the file, and read into `current` what was mapped then, in the pieces of `planned`."""
        again = [
            _packed(self._numbers["pread64"], *arguments, result=_ANY)
            for arguments in current.repeated(planned)
        ]
        return b"".join([*self.takes, self._write(_REGISTERS, _PAGE, _REGISTERS_AT), *again, _END])


def take(
    fd: int, before: list[mapped.MappedArea], describe: Callable[[list[str]], bytes], limit: int
) -> dict[str, Any]:
    """Write this process to the file `fd`, and end. Returns in the process that goes on from there: the note that it was given.

    `describe` gets the names of the files that are needed beside, and gives what stands at the image's beginning. `limit`: of its
    size, in bytes. Raises Unfit, OSError.
    """
    import json
    import threading

    thread = _thread_number()
    assert thread is not None  # noqa: S101  # `possible`
    _map_region(0)
    leave = _function(_REGION)
    listed = os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC)
    planned, current = mapped.Listing(listed), mapped.Listing(listed)
    length = 0
    # What is found must still hold when it is written: making the plan takes memory itself, which is there the second time.
    for _ in range(_MAX_PLANS):
        planned.read()
        plan = ImagePlan(planned.areas(), before, fd)
        calls, enters = plan.finish(planned, current), b"".join(plan.enters) + _END
        if plan.size > limit:
            raise Unfit(f"it has more than {limit >> 20} MiB in memory")
        if max(len(calls), len(enters)) + 8 > _CALLS_SIZE:
            raise Unfit("its memory is in too many pieces")
        os.pwrite(fd, struct.pack("<q", len(enters)) + enters, _CALLS_AT)
        os.pwrite(fd, describe(plan.files), 0)
        ctypes.memmove(_CALLS, calls, len(calls))
        current.read()
        if not current.is_equal(planned):
            continue
        current.clear()
        leave(_CALLS, _REGISTERS)
        length = struct.unpack("<q", ctypes.string_at(_NOTE, 8))[0]
        if length:
            break
        # Nobody gave a note: this is the process that was written. The list is from after all of it was.
        if current.is_equal(planned):
            os._exit(0)
    else:
        raise Unfit("its memory does not come to rest")

    note: dict[str, Any] = json.loads(ctypes.string_at(_NOTE + 8, length))
    _munmap(_REGION, _region_size(length))
    # glibc compares it with the owners of locks.
    ctypes.memmove(thread, struct.pack("<i", os.getpid()), 4)
    # To everything that wants to know of a fork, this is one.
    ctypes.pythonapi.PyOS_BeforeFork()
    ctypes.pythonapi.PyOS_AfterFork_Child()
    # Which Python 3.11 leaves as it was.
    main: Any = threading.main_thread()
    main._set_native_id()  # noqa: SLF001

    return note


def enter(image: int, files: list[str], note: bytes) -> NoReturn:
    """Go on as the process of an image, with a note for it. Raises OSError as long as nothing is lost."""
    opened = [image, *(os.open(name, os.O_RDONLY | os.O_CLOEXEC) for name in files)]
    _map_region(len(note))
    ctypes.memmove(_REGISTERS, os.pread(image, _PAGE, _REGISTERS_AT), _PAGE)
    length: int = struct.unpack("<q", os.pread(image, 8, _CALLS_AT))[0]
    calls = os.pread(image, min(length, _CALLS_SIZE), _CALLS_AT + 8)
    ctypes.memmove(_CALLS, calls, len(calls))
    ctypes.memmove(_NOTE, struct.pack("<q", len(note)) + note, len(note) + 8)
    last = IMAGE_FD + len(opened)
    # Out of the way first: a source number may be a target of another.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, last) for fd in opened]
    for number, fd in enumerate(high, IMAGE_FD):
        os.dup2(fd, number)
    os.closerange(last, 1 << 16)
    _function(_REGION + len(LEAVE))(_CALLS, _REGISTERS)
    raise AssertionError("an image was entered, and its memory is this one's")


def _packed(number: int, *arguments: int, result: int) -> bytes:
    return _CALL.pack(number, *arguments, *[0] * (6 - len(arguments)), result)


def _region_size(note: int) -> int:
    return -(-(_NOTE - _REGION + 8 + note) // _PAGE) * _PAGE


def _map_region(note: int) -> None:
    size = _region_size(note)
    flags = _PRIVATE | _ANONYMOUS | _NOREPLACE
    if size > _REGION_RESERVED or _mmap(_REGION, size, _READ | _WRITE, flags, -1, 0) != _REGION:
        raise OSError(ctypes.get_errno(), "no room for an image's calls")
    code = LEAVE + ENTER
    ctypes.memmove(_REGION, code, len(code))
    if _mprotect(_REGION, _PAGE, _READ | _EXEC) != 0:
        raise OSError(ctypes.get_errno(), "memory may not be run")


def _function(address: int) -> Callable[[int, int], int]:
    # PYFUNCTYPE: the interpreter's lock is kept.
    return ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(address)


def _thread_number() -> int | None:
    """The address at which glibc keeps the number of this thread; None where the kernel doesn't tell."""
    address = ctypes.c_size_t(0)
    try:
        linux.prctl(_GET_TID_ADDRESS, ctypes.addressof(address))
    except OSError:
        return None
    return address.value
