"""A small file system in memory that forgets what was not synced, and fails when it is told to: a power cut and a dying disk.

Here: the file system, as a process of its own, and its handle. Not here: what is put on it.

The promise that is kept is that of POSIX and no more. ``fsync`` of a file makes its bytes durable; ``fsync`` of a folder makes its
entries durable: names that came, went, or were renamed. At `Unsynced.cut` everything else is gone, or, by a seed, it is as on a
disk with a journal: names are as they were last or as they were synced, and a file may be empty, short, old or whole.
The idea is that of LazyFS; the code is our own.

Calls can be made to fail: a share of the writes, syncs, renames and so on gets an error, drawn from a seed.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

try:
    import mfusepy as fuse
except (ImportError, OSError):  # not installed, or no libfuse on the machine
    fuse = None


@dataclass
class Node:
    """A file or a folder, as programs see it and as the disk has it."""

    mode: int
    uid: int = 0
    gid: int = 0
    data: bytearray = field(default_factory=bytearray)
    entries: dict[str, Node] = field(default_factory=dict)
    durable_data: bytes = b""
    durable_entries: dict[str, Node] = field(default_factory=dict)
    times: tuple[float, float] = (0.0, 0.0)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    def sync(self) -> None:
        """Make what programs see durable."""
        if self.is_folder:
            self.durable_entries = dict(self.entries)
        else:
            self.durable_data = bytes(self.data)


def cut(node: Node, rng: random.Random | None, seen: set[int], *, names_kept: bool = False) -> int:
    """Forget what was not synced below a node.

    Parameters
    ----------
    node : Node
    rng : Random or None
        Decides of each file how much of it reached the disk all the same; None: nothing did.
    names_kept : bool
        Whether all changes of names reached the disk: a rename is never half done.
    seen : set of int
        Nodes done, by identity.

    Returns
    -------
    int
        Changes that were forgotten.
    """
    if id(node) in seen:
        return 0
    seen.add(id(node))
    forgotten = 0
    if node.is_folder:
        if not names_kept:
            names = {*node.entries, *node.durable_entries}
            forgotten += sum(node.entries.get(name) is not node.durable_entries.get(name) for name in names)
            node.entries = dict(node.durable_entries)
        for child in node.entries.values():
            forgotten += cut(child, rng, seen, names_kept=names_kept)
    elif node.data != node.durable_data:
        if rng is not None and rng.random() < 0.5:
            length = rng.randrange(len(node.data) + 1)
            node.data = node.data[:length]  # as far as it was written back
        else:
            node.data = bytearray(node.durable_data)
        forgotten += 1
    node.sync()
    return forgotten


class Errors:
    """Which calls fail."""

    def __init__(self) -> None:
        self.calls: frozenset[str] = frozenset()
        self.probability = 0.0
        self.number = errno.EIO
        self.rng = random.Random(0)
        self.struck = 0

    def tell(self, calls: str, probability: str, number: str, seed: str) -> None:
        """Let calls (joined by commas) fail from now on."""
        self.calls, self.probability = frozenset(calls.split(",")), float(probability)
        self.number, self.rng, self.struck = int(number), random.Random(int(seed)), 0

    def strike(self, call: str) -> None:
        """Fail, or not."""
        if call in self.calls and self.rng.random() < self.probability:
            self.struck += 1
            raise fuse.FuseOSError(self.number)


def _file_system(root: Node, errors: Errors) -> Any:
    class Unsynced(fuse.Operations):
        use_ns = False

        def __init__(self) -> None:
            self.open_files: dict[int, Node] = {}
            self.number = 0

        def _find(self, path: str) -> Node:
            node = root
            for part in path.split("/"):
                if part:
                    if part not in node.entries:
                        raise fuse.FuseOSError(errno.ENOENT)
                    node = node.entries[part]
            return node

        def _parent(self, path: str) -> tuple[Node, str]:
            folder, _, name = path.rpartition("/")
            return self._find(folder), name

        def _opened(self, node: Node) -> int:
            self.number += 1
            self.open_files[self.number] = node
            return self.number

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            node = self.open_files.get(fh) if fh else None
            node = node or self._find(path)
            size = 4096 if node.is_folder else len(node.data)
            return {
                "st_mode": node.mode,
                "st_nlink": 2 if node.is_folder else 1,
                "st_size": size,
                "st_blocks": (size + 511) // 512,
                "st_uid": node.uid,
                "st_gid": node.gid,
                "st_ino": id(node) % (1 << 60),
                "st_atime": node.times[0],
                "st_mtime": node.times[1],
                "st_ctime": node.times[1],
            }

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *self._find(path).entries]

        def _new(self, path: str, mode: int) -> Node:
            folder, name = self._parent(path)
            uid, gid, _ = fuse.fuse_get_context()
            now = time.time()
            node = Node(mode, uid, gid, times=(now, now))
            folder.entries[name] = node
            folder.times = (now, now)
            return node

        def create(self, path: str, mode: int, fi: Any = None) -> int:
            errors.strike("create")
            return self._opened(self._new(path, stat.S_IFREG | mode))

        def mkdir(self, path: str, mode: int) -> int:
            errors.strike("mkdir")
            self._new(path, stat.S_IFDIR | mode)
            return 0

        def open(self, path: str, flags: int) -> int:
            node = self._find(path)
            if flags & os.O_TRUNC:
                node.data = bytearray()
            return self._opened(node)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            errors.strike("read")
            return bytes(self.open_files[fh].data[offset : offset + size])

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            errors.strike("write")
            node = self.open_files[fh]
            if len(node.data) < offset:
                node.data.extend(bytes(offset - len(node.data)))
            node.data[offset : offset + len(data)] = data
            node.times = (node.times[0], time.time())
            return len(data)

        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            node = (self.open_files.get(fh) if fh else None) or self._find(path)
            node.data = node.data[:length] + bytearray(max(0, length - len(node.data)))
            node.times = (node.times[0], time.time())
            return 0

        def unlink(self, path: str) -> int:
            errors.strike("unlink")
            folder, name = self._parent(path)
            del folder.entries[name]
            return 0

        def rmdir(self, path: str) -> int:
            folder, name = self._parent(path)
            if folder.entries[name].entries:
                raise fuse.FuseOSError(errno.ENOTEMPTY)
            del folder.entries[name]
            return 0

        def rename(self, old: str, new: str) -> int:
            errors.strike("rename")
            folder, name = self._parent(old)
            target, new_name = self._parent(new)
            there = target.entries.get(new_name)
            if there is not None and there.is_folder and there.entries:
                raise fuse.FuseOSError(errno.ENOTEMPTY)
            target.entries[new_name] = folder.entries.pop(name)
            return 0

        def chmod(self, path: str, mode: int) -> int:
            node = self._find(path)
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
            return 0

        def chown(self, path: str, uid: int, gid: int) -> int:
            node = self._find(path)
            node.uid, node.gid = (uid if uid >= 0 else node.uid), (gid if gid >= 0 else node.gid)
            return 0

        def utimens(self, path: str, times: tuple[float, float] | None = None) -> int:
            now = time.time()
            self._find(path).times = times or (now, now)
            return 0

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            errors.strike("fsync")
            self.open_files[fh].sync()
            return 0

        def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
            errors.strike("fsync")
            self._find(path).sync()
            return 0

        def release(self, path: str, fh: int) -> int:
            self.open_files.pop(fh, None)
            return 0

        def statfs(self, path: str) -> dict[str, int]:
            return {
                "f_bsize": 4096,
                "f_frsize": 4096,
                "f_blocks": 1 << 20,
                "f_bfree": 1 << 19,
                "f_bavail": 1 << 19,
            }

    return Unsynced()


class Unsynced:
    """The file system, mounted.

    Parameters
    ----------
    folder : Path
        Gets the mount point ``m`` and the pipes to talk to it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.mount = folder / "m"
        self.mount.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oasis_pipeline_tests.faults.unsynced", str(self.mount)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        end = time.monotonic() + 60
        while not os.path.ismount(self.mount):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the file system could not be mounted")
            time.sleep(0.02)

    def sync(self) -> None:
        """Make all of it durable."""
        self._tell("sync")

    def cut(self, seed: int | None = None) -> int:
        """Forget what was not synced; how many changes that was. With a seed some of them are kept."""
        return self._tell("cut" if seed is None else f"cut {seed}")

    def fail(self, calls: tuple[str, ...], probability: float, number: int, seed: int) -> None:
        """Let a share of calls fail from now on: write, fsync, rename, create, mkdir, unlink, read."""
        self._tell(f"fail {','.join(calls)} {probability} {number} {seed}")

    def heal(self) -> int:
        """Let no call fail any more; how many did."""
        return self._tell("heal")

    def _tell(self, word: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """Unmount it; what was on it is gone."""
        subprocess.run(["fusermount3", "-u", "-z", str(self.mount)], check=False, capture_output=True)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()


def _sync_all(node: Node) -> None:
    node.sync()
    for child in node.entries.values():
        _sync_all(child)


def _main(mount: str) -> None:
    import threading

    root = Node(stat.S_IFDIR | 0o755, os.getuid(), os.getgid(), times=(time.time(), time.time()))
    errors = Errors()

    def listen() -> None:
        for line in sys.stdin:
            word, *given = line.split()
            if word == "sync":
                _sync_all(root)
                print(0, flush=True)
            elif word == "fail":
                errors.tell(*given)
                print(0, flush=True)
            elif word == "heal":
                errors.calls = frozenset()
                print(errors.struck, flush=True)
            else:
                rng = random.Random(int(given[0])) if given else None
                kept = rng is not None and rng.random() < 0.7
                print(cut(root, rng, set(), names_kept=kept), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)  # whoever mounted it is gone

    threading.Thread(target=listen, daemon=True).start()
    # nothing is remembered by the kernel: after a cut it would show what is no more
    # a file that is deleted while it is open is gone at once, and not kept under a name of the library
    options = {
        "attr_timeout": 0,
        "entry_timeout": 0,
        "negative_timeout": 0,
        "direct_io": True,
        "hard_remove": True,
    }
    fuse.FUSE(_file_system(root, errors), mount, foreground=True, nothreads=True, **options)


if __name__ == "__main__":
    _main(sys.argv[1])
