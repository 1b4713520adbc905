# SPDX-License-Identifier: BSD-3-Clause
"""Programs talking over sockets, and packets made by hand."""

import hashlib
import random
import socket
import threading
import time

from simulation import PATIENCE_S, wait_until


def in_thread(function):
    """Run it beside; returns a function that waits for its result, or raises what it raised."""
    outcome = {}

    def run():
        try:
            outcome["value"] = function()
        except BaseException as error:  # pylint: disable=broad-except
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result():
        thread.join(4 * PATIENCE_S)
        assert not thread.is_alive(), "it does not end"
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    return result


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp_transfer(source, destination, address, size):
    """`size` random bytes from one namespace to another over TCP; fails unless they arrive unchanged."""
    payload = random.Random(size).randbytes(min(size, 1 << 20))
    sent, received = hashlib.sha256(), hashlib.sha256()

    with destination.socket(family_of(address)) as listener, source.socket(family_of(address)) as connection:
        listener.bind((address, 0))
        listener.listen(1)

        def receive():
            peer, _ = listener.accept()
            count = 0
            with peer:
                peer.settimeout(PATIENCE_S)
                while chunk := peer.recv(1 << 18):
                    received.update(chunk)
                    count += len(chunk)
                peer.sendall(b"thanks")
            return count

        count = in_thread(receive)
        connection.connect(listener.getsockname()[:2])
        left = size
        while left:
            piece = payload[:left]
            connection.sendall(piece)
            sent.update(piece)
            left -= len(piece)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(16) == b"thanks"
        assert count() == size
    assert sent.digest() == received.digest(), "what arrived is not what was sent"


def udp_echo(source, destination, address, sizes):
    """Datagrams of these sizes there and back, each compared."""
    with destination.socket(family_of(address), socket.SOCK_DGRAM) as server, \
            source.socket(family_of(address), socket.SOCK_DGRAM) as client:
        server.bind((address, 0))
        client.connect(server.getsockname()[:2])

        def echo():
            for _ in sizes:
                data, peer = server.recvfrom(65536)
                server.sendto(data, peer)

        done = in_thread(echo)
        for size in sizes:
            payload = random.Random(size).randbytes(size)
            client.send(payload)
            assert client.recv(65536) == payload, f"a datagram of {size} bytes came back changed"
        done()


def udp_segmented(source, destination, address, size, count):
    """One message that the stack, or the NIC, cuts into `count` datagrams of `size` bytes; all arrive, in order."""
    payload = random.Random(size).randbytes(size * count)
    with destination.socket(family_of(address), socket.SOCK_DGRAM) as server, \
            source.socket(family_of(address), socket.SOCK_DGRAM) as client:
        server.bind((address, 0))
        client.connect(server.getsockname()[:2])
        client.setsockopt(socket.IPPROTO_UDP, 103, size)  # UDP_SEGMENT
        client.send(payload)
        assert b"".join(server.recv(65536) for _ in range(count)) == payload, "datagrams came changed, or in another order"


def raw_socket(netns, ifname, protocol=3):
    """A packet socket (all protocols) on an interface; scapy's layers go in and out as bytes."""
    made = netns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    made.bind((ifname, protocol))
    made.settimeout(0.1)
    return made


def frames(raw, timeout_s):
    """What arrives within a time, as bytes; ends early if the caller stops asking."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            yield raw.recv(65536)
        except TimeoutError:
            continue


def first_frame(raw, wanted, what):
    """The first frame for which wanted(bytes) is true."""
    for frame in frames(raw, PATIENCE_S):
        if wanted(frame):
            return frame
    raise AssertionError(f"no such frame: {what}")


class Pinging:
    """A ping that goes on until it is stopped."""

    def __init__(self, netns, target, log):
        self.log = log
        self.output = open(log, "wb")
        self.process = netns.popen("ping", "-n", "-i", "0.1", "-W", "1", target, stdout=self.output, stderr=self.output)
        self.wait_for_more()

    def replies(self):
        return self.log.read_text().count(" time=")

    def wait_for_more(self, count=3):
        start = self.replies()
        wait_until(lambda: self.replies() >= start + count,
                   lambda: f"{count} more replies:\n{self.log.read_text()[-500:]}")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.output.close()
