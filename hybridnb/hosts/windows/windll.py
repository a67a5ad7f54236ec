"""Windows' Job Objects and process times, by ctypes. Each function raises OSError with what Windows says."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from ctypes import wintypes as t

assert sys.platform == "win32"  # elsewhere there is no such library


Handle = int
SUSPENDED = 0x4  # CREATE_SUSPENDED, which subprocess does not name

_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_native = ctypes.WinDLL("ntdll")

_EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
_KILL_ON_CLOSE = 0x2000
_TERMINATE = 0x8  # JOB_OBJECT_TERMINATE
_LOOK = 0x1000 | 0x100000  # PROCESS_QUERY_LIMITED_INFORMATION, SYNCHRONIZE
_RUNS = 0x102  # WAIT_TIMEOUT: it has not ended


class _Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("times", ctypes.c_int64 * 2),
        ("flags", t.DWORD),
        ("working_set", ctypes.c_size_t * 2),
        ("active", t.DWORD),
        ("affinity", ctypes.c_size_t),
        ("classes", t.DWORD * 2),
        ("io", ctypes.c_uint64 * 6),
        ("memory", ctypes.c_size_t * 4),
    )


_SIGNATURES = {
    "CreateJobObjectW": (t.HANDLE, t.LPVOID, t.LPCWSTR),
    "OpenJobObjectW": (t.HANDLE, t.DWORD, t.BOOL, t.LPCWSTR),
    "SetInformationJobObject": (t.BOOL, t.HANDLE, ctypes.c_int, t.LPVOID, t.DWORD),
    "AssignProcessToJobObject": (t.BOOL, t.HANDLE, t.HANDLE),
    "TerminateJobObject": (t.BOOL, t.HANDLE, t.UINT),
    "OpenProcess": (t.HANDLE, t.DWORD, t.BOOL, t.DWORD),
    "GetProcessTimes": (t.BOOL, t.HANDLE, *[ctypes.POINTER(t.FILETIME)] * 4),
    "WaitForSingleObject": (t.DWORD, t.HANDLE, t.DWORD),
    "CloseHandle": (t.BOOL, t.HANDLE),
}
for _name, (_result, *_arguments) in _SIGNATURES.items():
    getattr(_kernel, _name).restype, getattr(_kernel, _name).argtypes = _result, _arguments
_native.NtResumeProcess.argtypes = (t.HANDLE,)


def make_job(name: str) -> Handle:
    """Make a Job Object whose processes end with the last one that holds it."""
    job = _checked(_kernel.CreateJobObjectW(None, name))
    limits = _Limits(flags=_KILL_ON_CLOSE)
    _checked(_kernel.SetInformationJobObject(job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)))
    return job


def take_in(job: Handle, process: subprocess.Popen[bytes]) -> None:
    """Put a suspended process into the Job Object and let it run; one that cannot be put there is killed."""
    handle = int(process._handle)  # type: ignore[attr-defined]  # noqa: SLF001  subprocess has no other name for it
    try:
        _checked(_kernel.AssignProcessToJobObject(job, handle))
    except OSError:
        process.kill()
        raise
    _native.NtResumeProcess(handle)


def end_job(name: str, *, code: int) -> None:
    """End all processes of a Job Object, with this exit code; without effect when there is none."""
    if job := _kernel.OpenJobObjectW(_TERMINATE, 0, name):
        try:
            _checked(_kernel.TerminateJobObject(job, code))
        finally:
            _kernel.CloseHandle(job)


def began(pid: int) -> str:
    """Return when a process that runs began, in Windows' own count; "" when there is none."""
    process = _kernel.OpenProcess(_LOOK, 0, pid)
    if not process:
        return ""
    try:
        if _kernel.WaitForSingleObject(process, 0) != _RUNS:
            return ""
        times = [t.FILETIME() for _ in range(4)]
        _checked(_kernel.GetProcessTimes(process, *map(ctypes.byref, times)))
        return str(times[0].dwHighDateTime << 32 | times[0].dwLowDateTime)
    finally:
        _kernel.CloseHandle(process)


def _checked(result: int | None) -> int:
    if not result:
        raise ctypes.WinError(ctypes.get_last_error())
    return result
