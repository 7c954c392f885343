"""Removes what a child left, however deep or odd: without recursion, without following links, by descriptors."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def set_aside(folder: Path) -> Path:
    """The folder under a name that nobody uses; its own when it cannot be renamed."""
    aside = folder.with_name(f"gone-{secrets.token_hex(8)}")
    try:
        folder.rename(aside)
    except OSError:
        return folder
    return aside


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it; raises OSError for what cannot be removed.

    Folders inside are moved up to it before they are emptied, so no path grows and no depth matters: 3,000 nested
    folders would end a recursive removal, and their paths are longer than the kernel takes.
    """
    folder.chmod(0o700)
    top = os.open(folder, FOLDER)
    try:
        while folders := flattened(top, top):
            for name in folders:
                with opened(top, name) as inside:
                    flattened(inside, top)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    folder.rmdir()


def flattened(folder: int, top: int) -> list[str]:
    """Remove the files of a folder and move its folders to `top`; their names when the folder is `top` itself."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=folder)
            elif folder == top:
                folders.append(entry.name)
            else:
                move(entry.name, folder, top)
    return folders


def move(name: str, folder: int, top: int) -> None:
    """Move a folder up, under a name that is free there."""
    os.chmod(name, stat.S_IRWXU, dir_fd=folder)  # a child may have made it without any right
    os.rename(name, f"moved-{secrets.token_hex(8)}", src_dir_fd=folder, dst_dir_fd=top)


@contextlib.contextmanager
def opened(top: int, name: str) -> Iterator[int]:
    """A folder in `top`, which its owner may read again."""
    os.chmod(name, stat.S_IRWXU, dir_fd=top)
    descriptor = os.open(name, FOLDER, dir_fd=top)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
