# SPDX-License-Identifier: BSD-3-Clause
"""podportctl trace and capture while something happens, and what they leave: JSON, and pcapng files read by this file's own few
lines, which know nothing of how they were written."""

import collections
import itertools
import json
import signal
import struct
import subprocess

from simulation import BIN, PATIENCE_S, wait_until

_numbers = itertools.count()


class Watching:
    """A podportctl that watches a pod: with Watching(sim, "trace", pod, ...) as watching: ...; it looks when that begins."""

    def __init__(self, sim, command, pod, *arguments):
        self.sim = sim
        self.told = sim.folder / f"watching-{next(_numbers)}.err"
        self.file = sim.folder / f"{self.told.stem}.pcapng"
        file = ["-w", self.file] if command == "capture" else []
        with open(self.told, "wb") as stderr:
            self.process = subprocess.Popen(
                [BIN / "podportctl", "--socket", sim.hostd_socket, command, "--json", *file, pod.container_id, *map(str, arguments)],
                stdout=subprocess.PIPE, stderr=stderr, text=True, env=sim.environment())
        wait_until(lambda: f"{pod.container_id}" and (" tracing " in self.messages() or " capturing on " in self.messages()
                                                      or self.process.poll() is not None),
                   lambda: f"podportctl {command} begins: {self.messages()}\n{sim.logs()}")
        assert self.process.poll() is None or self.process.returncode == 0, f"{self.messages()}{self.process.stdout.read()}\n{sim.logs()}"

    def messages(self):
        return self.told.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def end(self, number=signal.SIGINT, status=0):
        """Ask it to end, if it has not yet; what it tells as JSON."""
        if number and self.process.poll() is None:
            self.process.send_signal(number)
        output = self.process.communicate(timeout=2 * PATIENCE_S)[0]
        assert self.process.returncode == status, f"{output}{self.messages()}\n{self.sim.logs()}"
        if status:
            return output
        messages = self.messages()
        return json.loads(output or messages[messages.index("{"):])

    def wait(self):
        """Until it ends by itself."""
        return self.end(number=None)


Packet = collections.namedtuple("Packet", "time_ns inbound length data comment")
Interface = collections.namedtuple("Interface", "linktype snap name description filter")


def _options(data):
    found, at = {}, 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from("=HH", data, at)
        if code == 0:
            return found
        found[code] = data[at + 4:at + 4 + size]
        assert len(found[code]) == size, "an option is cut off"
        at += 4 + (size + 3) // 4 * 4
    return found


def read_pcapng(path):
    """(interface, [Packet], {option: value} of the statistics or None), having checked the form of every block."""
    data, at, interface, packets, statistics = path.read_bytes(), 0, None, [], None
    while at < len(data):
        kind, size = struct.unpack_from("=II", data, at)
        assert size % 4 == 0 and size >= 12 and at + size <= len(data), f"block at {at} of {size} bytes in {len(data)}"
        assert struct.unpack_from("=I", data, at + size - 4)[0] == size, f"block at {at} ends otherwise than it begins"
        body = data[at + 8:at + size - 4]
        if kind == 0x0A0D0D0A:
            assert at == 0 and struct.unpack_from("=IHH", body) == (0x1A2B3C4D, 1, 0)
        elif kind == 1:
            linktype, _, snap = struct.unpack_from("=HHI", body)
            options = _options(body[8:])
            assert options[9] == b"\x09"  # nanoseconds
            interface = Interface(linktype, snap, options[2].decode(), options[3].decode(), options.get(11, b"\0")[1:].decode())
        elif kind == 6:
            number, high, low, captured, length = struct.unpack_from("=IIIII", body)
            assert number == 0 and interface and captured <= interface.snap
            options = _options(body[20 + (captured + 3) // 4 * 4:])
            direction = struct.unpack("=I", options[2])[0]
            assert direction in (1, 2)
            packets.append(Packet(high << 32 | low, direction == 1, length, body[20:20 + captured], options.get(1, b"").decode()))
        elif kind == 5:
            options = _options(body[12:])
            statistics = {"received": struct.unpack("=Q", options[4])[0], "lost": struct.unpack("=Q", options[5])[0]}
        else:
            raise AssertionError(f"block of type {kind}")
        at += size
    return interface, packets, statistics
