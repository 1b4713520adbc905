# SPDX-License-Identifier: BSD-3-Clause
"""For tests that ask thousands of times: programs and sockets that stay, in place of a process for each question.

    ResidentCtl  podportctl's answers, without starting it each time
    Echo         ping, from the sockets of one network namespace
"""

import itertools
import json
import select
import socket
import struct
import subprocess
import time

from simulation import BUILD, PATIENCE_S

ECHO_REQUEST, ECHO_REPLY, UNREACHABLE = {4: 8, 6: 128}, {4: 0, 6: 129}, {4: 3, 6: 1}


class ResidentCtl:
    """While it is open, what a simulation is asked (Simulation.ask) goes to one podportctl-loop."""

    def __init__(self, simulation):
        self.simulation = simulation
        self.process = subprocess.Popen([BUILD / "unit" / "podportctl-loop", simulation.hostd_socket], env=simulation.environment(),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.left = b""  # of the answer before
        simulation.resident_ctl = self

    def ask(self, command):
        """(the exit status that podportctl would have, its standard output)."""
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        answer, deadline = self.left, time.monotonic() + 4 * PATIENCE_S
        while b"\0" not in answer or b"\n" not in answer[answer.index(b"\0"):]:
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            assert readable, f"podportctl-loop does not answer '{command}'"
            piece = self.process.stdout.read1(1 << 16)
            assert piece, f"podportctl-loop ended with status {self.process.wait(PATIENCE_S)}"
            answer += piece
        output, _, rest = answer.partition(b"\0")
        status, _, self.left = rest.partition(b"\n")
        return int(status), output.decode()

    def close(self):
        self.simulation.resident_ctl = None
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(PATIENCE_S) == 0


class Echo:
    """Echo requests from a network namespace. Many are sent before the first outcome is asked for."""

    numbers = itertools.count(1)

    def __init__(self, netns):
        self.name = netns.name
        self.sockets = {4: netns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
                        6: netns.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)}
        # What the kernel says to others and hears of neighbours does not concern us.
        self.sockets[4].setsockopt(255, 1, struct.pack("I", 0xffffffff & ~(1 << ECHO_REPLY[4] | 1 << UNREACHABLE[4])))  # ICMP_FILTER
        wanted = 1 << ECHO_REPLY[6] | 1 << UNREACHABLE[6]
        self.sockets[6].setsockopt(socket.IPPROTO_ICMPV6, 1, struct.pack(  # ICMP6_FILTER
            "8I", *(0xffffffff & ~(wanted >> 32 * word) for word in range(8))))
        self.heard = {}  # token -> outcome

    def send(self, target):
        """A token, to ask for its outcome."""
        family = 6 if ":" in target else 4
        token = b"podport-echo" + struct.pack("!Q", next(self.numbers))
        header = struct.pack("!BBHHH", ECHO_REQUEST[family], 0, 0, 1, 1)
        packet = header + token
        if family == 4:  # for IPv6 the kernel does it
            total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
            total = (total & 0xffff) + (total >> 16)
            packet = struct.pack("!BBHHH", ECHO_REQUEST[4], 0, ~(total + (total >> 16)) & 0xffff, 1, 1) + token
        self.sockets[family].sendto(packet, (target, 0))
        return family, token

    def outcome(self, sent):
        """("answered" or "unreachable", who says so); fails if there is neither."""
        family, token = sent
        while token not in self.heard:
            try:
                packet, (source, *_) = self.sockets[family].recvfrom(2048)
            except TimeoutError:
                raise AssertionError(f"{self.name}: an echo request over IPv{family} has no outcome") from None
            message = packet[(packet[0] & 0xf) * 4:] if family == 4 else packet
            at = message.find(b"podport-echo")
            if at >= 0:
                self.heard[message[at:at + len(token)]] = \
                    "answered" if message[0] == ECHO_REPLY[family] else "unreachable", source
        return self.heard.pop(token)

    def close(self):
        for each in self.sockets.values():
            each.close()
