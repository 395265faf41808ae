"""A proxy that delays every byte by half a round trip each way: a database in the cloud, seen from here.

A process of its own, `python -m syncer_assets_tests.benchmarks.latency PORT ROUND_TRIP_MS [MB_PER_SECOND]`, which
prints its port. Threads and large reads: it forwards some GB a second, so that it does not limit a COPY, unless it is
told how much a connection gets from the server in a second.
"""

import math
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

ROUND_TRIP_MS = 2.0
READ_BYTES = 1 << 20
IN_FLIGHT = 64


@contextmanager
def delayed(port: int, round_trip_ms: float, mb_per_second: float = math.inf) -> Iterator[int]:
    """The port of a proxy to `port` on loopback."""
    command = [sys.executable, "-m", __name__, str(port), str(round_trip_ms), str(mb_per_second)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def serve(port: int, round_trip_ms: float, mb_per_second: float = math.inf) -> None:
    """Forward connections until the process ends."""
    delay, second_a_byte = round_trip_ms / 2000, 1e-6 / mb_per_second
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            upstream = socket.create_connection(("127.0.0.1", port))
            for one in (client, upstream):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, target, pace in ((client, upstream, 0.0), (upstream, client, second_a_byte)):
                pipe: queue.Queue[tuple[float, bytes]] = queue.Queue(IN_FLIGHT)
                threading.Thread(target=_read, args=(source, pipe, delay, pace), daemon=True).start()
                threading.Thread(target=_write, args=(target, pipe), daemon=True).start()


def _read(source: socket.socket, pipe: "queue.Queue[tuple[float, bytes]]", delay: float, pace: float) -> None:
    """`pace` is the seconds that the line takes for a byte."""
    data, free = b"-", 0.0
    while data:
        try:
            data = source.recv(READ_BYTES)
        except OSError:
            data = b""
        free = max(free, time.monotonic()) + pace * len(data)
        pipe.put((free + delay, data))


def _write(target: socket.socket, pipe: "queue.Queue[tuple[float, bytes]]") -> None:
    while True:
        due, data = pipe.get()
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        if not data:
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)
            return
        with suppress(OSError):  # its reader learns of it
            target.sendall(data)


if __name__ == "__main__":
    serve(int(sys.argv[1]), *map(float, sys.argv[2:]))
