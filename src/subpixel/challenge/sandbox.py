"""What a process takes from itself before it touches a stranger's file; nothing here can be undone by it.

On Linux (x86-64, ARM64) only memory, time and the files that are already open remain: a seccomp filter refuses to open
files and sockets, to start processes, to send signals to others. Elsewhere limits hold, and the caller is told so.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import signal
import struct
import sys
from pathlib import Path

SECCOMP, LIMITS = "seccomp", "limits"

# System calls that Python and the decoders need once everything is loaded, by their numbers.
_CALLS = {
    "x86_64": (0xC000003E, {
        "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12,
        "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "writev": 20, "sched_yield": 24,
        "mremap": 25, "madvise": 28, "getpid": 39, "exit": 60, "getrusage": 98, "sigaltstack": 131, "gettid": 186,
        "futex": 202, "clock_gettime": 228, "clock_nanosleep": 230, "exit_group": 231, "getrandom": 318, "rseq": 334,
    }),
    "aarch64": (0xC00000B7, {
        "lseek": 62, "read": 63, "write": 64, "writev": 66, "pread64": 67, "fstat": 80, "close": 57, "exit": 93,
        "exit_group": 94, "futex": 98, "clock_gettime": 113, "clock_nanosleep": 115, "sched_yield": 124,
        "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "getrusage": 165,
        "getpid": 172, "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222, "mprotect": 226,
        "madvise": 233, "getrandom": 278, "rseq": 293,
    }),
}  # fmt: skip
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # classic BPF


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def lock(memory: int, seconds: int) -> str:
    """Limit this process for good: bytes of memory besides what it has, CPU seconds, no files, no network, no children.

    Returns SECCOMP, or LIMITS where files and network could not be taken away.
    """
    statm = Path("/proc/self/statm")
    if statm.exists():
        size = int(statm.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + memory, size + memory))
    for what in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        resource.setrlimit(what, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return LIMITS
    return SECCOMP if _filter(*_CALLS[platform.machine()]) else LIMITS


def _filter(architecture: int, calls: dict[str, int]) -> bool:
    """Refuse all system calls but these, see seccomp(2); whether the kernel takes it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    code = _program(architecture, sorted(calls.values()))
    program = _Program(len(code) // 8, code)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _program(architecture: int, allowed: list[int]) -> bytes:
    """BPF that kills another architecture's calls, lets the allowed ones pass and refuses the others by EPERM."""
    steps = [(_LOAD_WORD, 0, 4), (_JUMP_EQUAL, 1, architecture), (_RETURN, 0, _KILL_PROCESS), (_LOAD_WORD, 0, 0)]
    steps += [(_JUMP_EQUAL, len(allowed) - index, number) for index, number in enumerate(allowed)]
    steps += [(_RETURN, 0, _ERRNO | errno.EPERM), (_RETURN, 0, _ALLOW)]
    return b"".join(struct.pack("HBBI", code, jump, 0, value) for code, jump, value in steps)
