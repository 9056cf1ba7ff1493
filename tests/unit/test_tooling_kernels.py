# SPDX-License-Identifier: GPL-2.0-only
"""Unpacking a kernel, and packing the initramfs that boots it."""

import lzma
import struct
import subprocess
from pathlib import Path

import pytest
from testvm import initramfs, kernels
from testvm.cpio import Archive

ELF = b"\x7fELF" + bytes(range(256)) * 40


def bzimage(payload: bytes) -> bytes:
    """A boot sector and one set-up sector, 100 bytes of something, then the payload."""
    head = bytearray(1024)
    head[0x1F1] = 1
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 100, len(payload))
    return bytes(head) + bytes(100) + payload + b"trailing"


def test_uncompressed_xz() -> None:
    # The kernel appends the size to the compressed data.
    assert kernels.uncompressed(bzimage(lzma.compress(ELF) + struct.pack("<I", len(ELF)))) == ELF


def test_uncompressed_zstd() -> None:
    packed = subprocess.run(["zstd", "-c"], input=ELF, capture_output=True, check=True).stdout
    assert kernels.uncompressed(bzimage(packed + struct.pack("<I", len(ELF)))) == ELF


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (bytes(2048), "no HdrS"),
        (bzimage(b"\x1f\x8b\x08 gzip"), "unknown compression, payload starts with 1f8b08"),
        (bzimage(lzma.compress(b"not a kernel")), "no ELF"),
    ],
)
def test_uncompressed_refuses(image: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.uncompressed(image)


def fake_kernel(root: Path) -> kernels.Kernel:
    """A module tree in which virtio-b needs a and c, and c needs a."""
    kernel = kernels.Kernel("6.1", "6.1.0-0-test", "6.1.0-1", root)
    kernel.modules.mkdir(parents=True)
    (kernel.modules / "modules.dep").write_text(
        "kernel/a.ko:\nkernel/virtio-b.ko: kernel/c.ko kernel/a.ko\nkernel/c.ko: kernel/a.ko\n"
    )
    (kernel.modules / "modules.builtin").write_text("kernel/fs/built_in.ko\n")
    return kernel


def test_modules_come_in_loading_order(tmp_path: Path) -> None:
    kernel = fake_kernel(tmp_path)
    names = [path.name for path in kernels.module_closure(kernel, ("built_in", "virtio_b", "a"))]
    assert names == ["a.ko", "c.ko", "virtio-b.ko"]


def test_missing_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"6\.1\.0-0-test has no module nonsense"):
        kernels.module_closure(fake_kernel(tmp_path), ("nonsense",))


def test_unknown_kernel_is_named() -> None:
    with pytest.raises(ValueError, match=r"no kernel '5\.15': known are 6\.1, 6\.12"):
        kernels.get("5.15")


def test_archive_is_what_cpio_reads(tmp_path: Path) -> None:
    archive = Archive()
    archive.folder("bin")
    archive.file("bin/tool", b"#!/bin/sh\n", 0o755)
    archive.file("odd", b"12345")
    subprocess.run(["busybox", "cpio", "-i", "-d"], input=bytes(archive), cwd=tmp_path, check=True)
    assert (tmp_path / "bin/tool").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "odd").read_bytes() == b"12345"


@pytest.mark.parametrize("word", ["plain", "two words", "it's", '$HOME "x" `y`', "a\nb", "*", ""])
def test_command_survives_the_guests_shell(word: str, tmp_path: Path) -> None:
    script = initramfs.command_script(["printf", "<%s>", word], {"NAME": word})
    (tmp_path / "command.sh").write_text(script + "\n")
    out = subprocess.run(
        ["/bin/sh", tmp_path / "command.sh"], capture_output=True, text=True, check=True
    )
    assert out.stdout == f"<{word}>"
    assert (
        subprocess.run(
            ["/bin/sh", "-c", script.replace("exec printf", 'printf "%s" "$NAME"; exit #')],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        == word
    )
