"""Being told by the kernel that something was made or removed in a folder (inotify, through
libc)."""

from __future__ import annotations

import ctypes
import logging
import os
import struct

__all__ = ["Inotify"]

logger = logging.getLogger(__name__)

_CLOEXEC, _NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
_CREATE, _DELETE, _DELETE_SELF = 0x100, 0x200, 0x400
_ONLYDIR = 0x01000000
_IGNORED = 0x8000
_HEAD = struct.Struct("iIII")
_READ_BYTES = 65_536


class Inotify:
    """Watches folders, each under a name of ours; where the kernel refuses, nothing is ever told
    and the regular looks have to do."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._names: dict[int, str] = {}
        self._paths: dict[str, int] = {}
        try:
            self.handle = int(self._libc.inotify_init1(_CLOEXEC | _NONBLOCK))
        except AttributeError:
            self.handle = -1
        if self.handle < 0:
            logger.info("no inotify: new jobs are found by the look of each second")

    def watch(self, path: str, name: str) -> bool:
        """Watch a folder; tell whether it is watched."""
        if self.handle < 0 or path in self._paths:
            return self.handle >= 0
        mask = ctypes.c_uint32(_CREATE | _DELETE | _DELETE_SELF | _ONLYDIR)
        number = self._libc.inotify_add_watch(self.handle, os.fsencode(path), mask)
        if number < 0:
            logger.debug("cannot watch %s: %s", path, os.strerror(ctypes.get_errno()))
            return False
        self._names[number] = name
        self._paths[path] = number
        return True

    def read(self) -> set[str]:
        """Return the names of the folders in which something came or went since the last time."""
        told: set[str] = set()
        if self.handle < 0:
            return told
        try:
            data = os.read(self.handle, _READ_BYTES)
        except BlockingIOError:
            return told
        at = 0
        while at + _HEAD.size <= len(data):
            number, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size + length
            if number in self._names:
                told.add(self._names[number])
            if mask & _IGNORED:
                self._forget(number)
        return told

    def close(self) -> None:
        """Stop watching; may be called again."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    def _forget(self, number: int) -> None:
        self._names.pop(number, None)
        for path in [path for path, known in self._paths.items() if known == number]:
            del self._paths[path]
