"""What Windows lacks or refuses, acted out: for a test that shows that genzoo needs none of it."""

import io
import os
import shutil
import signal
import sys
from pathlib import Path

MODULES = ("resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog")
FUNCTIONS = (
    *("fork", "sync", "sysconf", "uname", "getuid", "geteuid", "getgid", "statvfs", "killpg"),
    *("sched_getaffinity", "getloadavg", "mkfifo", "chown", "fchmod", "posix_fallocate"),
    *("O_NOFOLLOW", "O_DIRECTORY"),  # the libraries of this system need its other flags
)
SIGNALS = ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGALRM", "SIGQUIT", "SIGKILL", "SIGPIPE")
REFUSED = frozenset('<>:"|?*\\')
RESERVED = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))}


def act(patch) -> None:
    """Act as Windows does until ``patch`` (pytest's monkeypatch) is undone."""
    for name in MODULES:
        patch.setitem(sys.modules, name, None)
    for module, names in ((os, FUNCTIONS), (signal, SIGNALS)):
        for name in names:
            patch.delattr(module, name, raising=False)
    plain = {n: getattr(os, n) for n in ("rename", "replace", "unlink", "open", "mkdir")}

    def rename(source, target, **rest):
        if os.path.lexists(target):
            raise FileExistsError(17, "Cannot create a file when that file already exists", target)
        _check_closed(source)
        _check_name(target)
        return plain["rename"](source, target, **rest)

    def replace(source, target, **rest):
        if Path(target).is_dir():
            raise PermissionError(13, "Access is denied", target)
        _check_closed(source)
        _check_closed(target)
        _check_name(target)
        return plain["replace"](source, target, **rest)

    def unlink(path, **rest):
        if not rest.get("dir_fd"):
            _check_closed(path)
        return plain["unlink"](path, **rest)

    def opened(path, flags, *rest, **more):
        if isinstance(path, (str, os.PathLike)) and Path(path).is_dir() and not more:
            raise PermissionError(13, "Permission denied", path)
        if flags & os.O_CREAT:
            _check_name(path)
        return plain["open"](path, flags, *rest, **more)

    def mkdir(path, *rest, **more):
        _check_name(path)
        return plain["mkdir"](path, *rest, **more)

    def refuse(source, target, *rest, **more):
        raise OSError(1314, "A required privilege is not held by the client", target)

    def text_or_bytes(path, mode="r", *rest, **more):
        if {*mode} & {*"wxa"} and isinstance(path, (str, os.PathLike)):
            _check_name(path)
        return plain_file(path, mode, *rest, **more)

    plain_file = io.open
    patch.setattr(io, "open", text_or_bytes)
    patch.setattr(shutil, "_use_fd_functions", False)
    changed = {"rename": rename, "replace": replace, "unlink": unlink, "remove": unlink}
    changed |= {"mkdir": mkdir, "symlink": refuse, "link": refuse}
    for name, function in changed.items():
        patch.setattr(os, name, function)
    patch.setattr(os, "open", opened)


def _check_name(path) -> None:
    """Raise OSError if Windows has no such name."""
    name = Path(os.fsdecode(path)).name
    stem = name.partition(".")[0].lower()
    if REFUSED & {*name} or name != name.rstrip(". ") or stem in RESERVED or len(name) > 255:
        raise OSError(22, "The filename, directory name, or volume label syntax is incorrect", name)


def _check_closed(path) -> None:
    """Raise PermissionError if this process has ``path``, or a file below it, open or mapped."""
    real = os.path.realpath(path)
    files = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            files.append(str(link.readlink()))
        except OSError:
            continue
    maps = Path("/proc/self/maps").read_text().splitlines()
    files += [parts[5] for line in maps if len(parts := line.split(maxsplit=5)) == 6]
    if any(file == real or file.startswith(f"{real}{os.sep}") for file in files):
        raise PermissionError(13, "The process cannot access the file: it is in use", str(path))
