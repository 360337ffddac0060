"""No request beyond loopback: each is refused and written down, so that its test can be failed.

An audit hook sees what Python's sockets do, in any thread and however errors are handled.
``sitecustomize.py`` beside this file installs the hook in every Python that a test starts.
"""

import errno
import os
import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent)
RECORD = "GENZOO_TEST_REQUESTS"  # names the file in which requests are written down
NAMES = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
ADDRESSES = ("socket.connect", "socket.sendto", "socket.sendmsg")
installed = False


def stays_here(host: object) -> bool:
    """Whether this name or address is of this machine's loopback."""
    name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    numbers = name.removeprefix("::ffff:")
    if not numbers.strip("0123456789."):
        return numbers.startswith("127.") or numbers == "0.0.0.0"
    return name in ("localhost", "::1", "::")


def audit(event: str, args: tuple) -> None:
    """Refuse the event if it is a request to another machine."""
    if event in NAMES:
        host = args[0]
    elif event in ADDRESSES and isinstance(args[1], tuple):  # otherwise a path, or none
        host = args[1][0]
    else:
        return
    if stays_here(host):
        return
    said = f"{event} of {host!r}"
    if path := os.environ.get(RECORD):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{said} in {' '.join(sys.argv)[:200]}\n".encode())
        os.close(file)
    raise OSError(errno.ENETUNREACH, f"no test may reach beyond loopback: {said}")


def install() -> None:
    """Refuse requests from now on, in this process and in each Python that it starts."""
    global installed
    if not installed:
        sys.addaudithook(audit)
        installed = True
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if FOLDER not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([FOLDER, *filter(None, paths)])


def requests() -> str:
    """What was refused since the last call, a line each."""
    path = Path(os.environ[RECORD])
    if not path.exists() or not (lines := path.read_text()):
        return ""
    path.write_text("")
    return lines
