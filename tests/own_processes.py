"""What tests share that start processes: children that end with their test, ports that are free."""

import ctypes
import random
import signal
import socket

LIBC = ctypes.CDLL(None)  # nothing is loaded between fork and exec
PR_SET_PDEATHSIG = 1


def die_with_parent():
    """For subprocess's preexec_fn: the child is killed when this process ends, however it ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port(given=set()):
    """A port below the range from which outgoing connections take theirs; never the same twice."""
    for _ in range(200):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in given:
            given.add(port)
            return port
    raise RuntimeError("no port is free")
