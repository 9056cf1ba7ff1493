# SPDX-License-Identifier: GPL-2.0-only
"""Write an initramfs archive (Linux Documentation/driver-api/early-userspace/buffer-format.rst)."""

import stat
from io import BytesIO


class Archive:
    """Collects files and folders; `bytes()` gives the finished archive. Everything is root's."""

    def __init__(self) -> None:
        self._out = BytesIO()
        self._inode = 0

    def folder(self, name: str) -> None:
        """Add a folder. Its parent must have been added before."""
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file with permission bits `mode`."""
        self._entry(name, stat.S_IFREG | mode, content)

    def _entry(self, name: str, mode: int, content: bytes) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (
            *(self._inode, mode, 0, 0, 1, 0, len(content)),  # ..., uid, gid, links, mtime, size
            *(0, 0, 0, 0, len(encoded), 0),  # devices, name size, checksum (unused in newc)
        )
        self._out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + encoded)
        self._pad()
        self._out.write(content)
        self._pad()

    def _pad(self) -> None:
        self._out.write(b"\0" * (-self._out.tell() % 4))

    def __bytes__(self) -> bytes:
        closed = Archive()
        closed._out.write(self._out.getvalue())
        closed._entry("TRAILER!!!", 0, b"")
        return closed._out.getvalue()
