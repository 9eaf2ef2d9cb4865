"""A person who works in an upload folder beside the agent, and knows what he did: each content that he writes is unique,
and of each that he replaces or deletes he has seen what it was, in the very step that took it away."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import random
from pathlib import Path

from lab.folders import OWN, look

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _NOREPLACE, _EXCHANGE = -100, 1, 2
_NAMES = ("a", "b", "c.jpg", "\u00e9t\u00e9", "d e")


def _rename(old: Path, new: Path, flags: int) -> bool:
    """renameat2; False: what it needs is not (or already) there."""
    if _LIBC.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags) == 0:
        return True
    error = ctypes.get_errno()
    if error in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP):
        return False
    raise OSError(error, os.strerror(error), str(new))


class Uploader:
    """One person at one folder. written: every content, ever; replaced: those that he has taken away himself."""

    def __init__(self, root: Path, name: str, rng: random.Random, written: set[bytes], replaced: set[bytes]) -> None:
        self.root, self.name, self.rng = root, name, rng
        self.written, self.replaced = written, replaced
        self.aside = root.with_name(f"aside-{name}")
        self.aside.mkdir(exist_ok=True)
        self.did: list[str] = []

    def _path(self, deep: float = 0.5) -> Path:
        path = self.root
        while self.rng.random() < deep and len(path.parts) - len(self.root.parts) < 3:
            path /= self.rng.choice(("x", "y"))
        return path / self.rng.choice(_NAMES)

    def _standing(self, directories: bool) -> list[Path]:
        found = []
        for path, content in look(self.root).items():
            if (content == "dir") == directories:
                found.append(self.root / path)
        return sorted(found)

    def _content(self) -> bytes:
        size = self.rng.choice((0, 1, 100, 5000, 300_000, 1_200_000)) if self.rng.random() < 0.3 else 40
        content = b"%s %d " % (self.name.encode(), len(self.written)) + self.rng.randbytes(size)
        self.written.add(content)
        return content

    def _away(self, path: Path) -> Path | None:
        """Take it out of the folder in one step."""
        to = self.aside / str(len(list(self.aside.iterdir())))
        return to if _rename(path, to, _NOREPLACE) else None

    def _gone(self, path: Path) -> None:
        """What was taken away is known, and may be forgotten."""
        if path.is_symlink() or path.is_file():
            if not path.is_symlink():
                self.replaced.add(path.read_bytes())
        else:
            self.replaced.update(content for content in look(path).values() if isinstance(content, bytes))

    # what he does ----------------------------------------------------------------------------

    def write(self) -> None:
        """Upload a file, as most programs do it: beside its name, then renamed."""
        path, content = self._path(), self._content()
        beside = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content)
        except OSError:  # a file stands where a directory should, or the agent has just removed that
            self.replaced.add(content)
            return
        while not _rename(beside, path, _NOREPLACE):
            if not path.parent.is_dir():
                self.replaced.add(content)
                return
            if path.is_dir() and not path.is_symlink():
                self._gone(beside)
                beside.unlink()
                return
            if _rename(beside, path, _EXCHANGE):
                old = self.aside / f"old-{len(self.did)}"
                beside.rename(old)
                self._gone(old)
                break
        self.did.append(f"write {path}")

    def write_into(self) -> None:
        """Open a file that is there, and write another content over it."""
        standing = [path for path in self._standing(False) if not path.is_symlink()]
        if not standing:
            return
        path, content = self.rng.choice(standing), self._content()
        try:
            with path.open("r+b") as f:
                self.replaced.add(f.read())
                f.seek(0)
                f.write(content)
                f.truncate()
        except FileNotFoundError:
            self.replaced.add(content)
        self.did.append(f"write into {path}")

    def delete(self) -> None:
        """A file or a whole directory goes."""
        standing = self._standing(self.rng.random() < 0.2)
        if standing:
            path = self.rng.choice(standing)
            away = self._away(path)
            if away is not None:
                self._gone(away)
            self.did.append(f"delete {path}")

    def move(self) -> None:
        """A file or directory gets another name."""
        standing = self._standing(self.rng.random() < 0.3)
        if standing:
            old, new = self.rng.choice(standing), self._path(0.3)
            with contextlib.suppress(OSError):
                new.parent.mkdir(parents=True, exist_ok=True)
                _rename(old, new, _NOREPLACE)
            self.did.append(f"move {old} {new}")

    def copy(self) -> None:
        """The same content under a second name."""
        standing = [path for path in self._standing(False) if not path.is_symlink()]
        new = self._path()
        if standing:
            with contextlib.suppress(OSError):
                content = self.rng.choice(standing).read_bytes()
                new.parent.mkdir(parents=True, exist_ok=True)
                beside = new.with_name(new.name + ".part")
                beside.write_bytes(content)
                if not _rename(beside, new, _NOREPLACE):
                    beside.unlink()
            self.did.append(f"copy to {new}")

    def link(self) -> None:
        """A symbolic link beside a file."""
        with contextlib.suppress(OSError):
            path = self._path(0.2)
            path.symlink_to(self.rng.choice(_NAMES))
            self.did.append(f"link {path}")

    def chmod(self) -> None:
        """Other permissions, with which the file can still be read."""
        standing = [path for path in self._standing(self.rng.random() < 0.2) if not path.is_symlink()]
        if standing:
            path = self.rng.choice(standing)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.chmod(self.rng.choice((0o700, 0o750, 0o755)))
            self.did.append(f"chmod {path}")

    def work(self, steps: int) -> None:
        """Some of all that."""
        doings = (self.write, self.write, self.write, self.write_into, self.delete, self.move, self.copy, self.link, self.chmod)
        for _ in range(steps):
            self.rng.choice(doings)()


def kept(root: Path) -> set[bytes]:
    """Every content that stands in a folder, its trash and its conflicts."""
    found = {content for content in look(root).values() if isinstance(content, bytes)}
    for area in ("trash", "conflict"):
        found |= {path.read_bytes() for path in (root / OWN / area).rglob("*") if path.is_file() and not path.is_symlink()}
    return found
