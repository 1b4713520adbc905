# SPDX-License-Identifier: BSD-3-Clause
"""A containerd with its CRI plugin on, and the CRI calls that a kubelet makes. Messages are made from the description
that came with containerd's source; nothing is generated."""

import contextlib
import functools
import json
import os
import pathlib
import shutil
import signal
import socket

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from rootfs import make_image, make_rootfs
from simulation import Daemon, Netns, wait_until

NAMESPACE = os.environ.get("PODPORT_TEST_NAME", "podport-test")
# Built from the distribution's source with host-stub/gocni: packaging/containerd/build, run by tests/run.
DROP_IN = os.environ.get("PODPORT_TEST_CONTAINERD", "")
PAUSE = "podport.test/pause:1"


# ---- CRI messages -------------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=None)
def _types():
    assert DROP_IN, "there is no containerd with host-stub/gocni: tests/run builds it, and said why it could not"
    files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(DROP_IN, "cri.pb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName(f"runtime.v1.{name}"))


def message(name, **fields):
    return _types()(name)(**fields)


class Cri:
    """runtime.v1.RuntimeService: cri.Status(verbose=True)."""

    def __init__(self, path):
        self.channel = grpc.insecure_channel(f"unix:{path}")

    def __getattr__(self, method):
        call = self.channel.unary_unary(f"/runtime.v1.RuntimeService/{method}",
                                        request_serializer=lambda request: request.SerializeToString(),
                                        response_deserializer=_types()(f"{method}Response").FromString)
        return lambda timeout=60, **fields: call(message(f"{method}Request", **fields), timeout=timeout)

    def network_ready(self):
        """(status, reason, message) of the condition that makes a node ready."""
        (condition,) = [c for c in self.Status().status.conditions if c.type == "NetworkReady"]
        return condition.status, condition.reason, condition.message


# ---- containerd ---------------------------------------------------------------------------------------------

class CriContainerd:
    """A containerd of the tests' own with CRI; program: of the distribution's, or with host-stub/gocni."""

    def __init__(self, sim, name, program):
        self.sim = sim
        folder = self.folder = sim.folder / name
        folder.mkdir()
        self.networks, self.plugins = folder / "net.d", folder / "cni-bin"
        self.networks.mkdir()
        self.plugins.mkdir()
        self.socket = folder / "containerd.sock"
        disabled = ", ".join(f'"io.containerd.{name}"' for name in (
            "internal.v1.opt", "snapshotter.v1.aufs", "snapshotter.v1.btrfs", "snapshotter.v1.devmapper", "snapshotter.v1.zfs",
            "snapshotter.v1.overlayfs"))
        config = folder / "config.toml"
        config.write_text(f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\ndisabled_plugins = [{disabled}]\n'
                          f'[grpc]\n  address = "{self.socket}"\n'
                          '[plugins."io.containerd.grpc.v1.cri"]\n'
                          f'  sandbox_image = "{PAUSE}"\n  restrict_oom_score_adj = true\n  stream_server_address = "127.0.0.1"\n'
                          '  [plugins."io.containerd.grpc.v1.cri".containerd]\n    snapshotter = "native"\n'
                          '  [plugins."io.containerd.grpc.v1.cri".cni]\n'
                          f'    conf_dir = "{self.networks}"\n    bin_dir = "{self.plugins}"\n')
        self.daemon = Daemon(sim, f"containerd-{name}", sim.host, "env", f"PODPORT_SOCKET={sim.hostd_socket}", program, "--config", config)
        self.sandboxes = []

    def start(self):
        self.daemon.start()

        # gRPC would ask again only seconds after it has found nobody.
        def listens():
            self.sim.alive(self.daemon)
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.socket))
                return True

        wait_until(listens, lambda: f"containerd listens\n{self.daemon.tail()}")
        self.cri = Cri(self.socket)

        def answers():
            with contextlib.suppress(grpc.RpcError):  # its CRI plugin starts a moment later
                return self.cri.Status()

        wait_until(answers, lambda: f"containerd answers\n{self.daemon.tail()}")
        return self

    def import_pause(self):
        rootfs = self.folder / "rootfs"
        make_rootfs(rootfs)
        make_image(self.folder / "pause.tar", rootfs, PAUSE, ["/bin/busybox", "sleep", "100000"])
        self.sim.host.run("ctr", "--address", self.socket, "--namespace", "k8s.io", "images", "import", "--snapshotter", "native",
                          self.folder / "pause.tar")

    def restart(self, number=signal.SIGTERM):
        self.cri.channel.close()
        self.daemon.kill(number)
        self.start()

    def config(self, name, **more):
        """A PodSandboxConfig, as a kubelet writes it."""
        return message("PodSandboxConfig", metadata={"name": name, "uid": f"uid-{name}", "namespace": "default", "attempt": 0},
                       linux={"cgroup_parent": f"/{NAMESPACE}"}, **more)

    def run(self, name, **more):
        sandbox = Sandbox(self, self.cri.RunPodSandbox(config=self.config(name, **more)).pod_sandbox_id, name)
        self.sandboxes.append(sandbox)
        return sandbox

    def remove_sandboxes(self):
        for sandbox in list(self.sandboxes):
            sandbox.remove()
        left = self.cri.ListPodSandbox().items
        assert not left, f"sandboxes are left: {left}"

    def end(self):
        self.cri.channel.close()
        self.daemon.kill(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)


class Sandbox(Netns):
    """A sandbox of the CRI's; what Netns can, in its network namespace."""

    def __init__(self, containerd, sandbox_id, name):  # pylint: disable=super-init-not-called
        self.containerd, self.id, self.name = containerd, sandbox_id, name
        answer = self.status(verbose=True)
        info = json.loads(answer.info["info"])
        self.path = next(namespace["path"] for namespace in info["runtimeSpec"]["linux"]["namespaces"]
                         if namespace["type"] == "network")

    def status(self, verbose=False):
        return self.containerd.cri.PodSandboxStatus(pod_sandbox_id=self.id, verbose=verbose)

    def ips(self):
        network = self.status().status.network
        return [network.ip, *(ip.ip for ip in network.additional_ips)]

    def stop(self):
        self.containerd.cri.StopPodSandbox(pod_sandbox_id=self.id)

    def remove(self):
        self.containerd.cri.StopPodSandbox(pod_sandbox_id=self.id)
        self.containerd.cri.RemovePodSandbox(pod_sandbox_id=self.id)
        self.containerd.sandboxes.remove(self)

    def attachment(self):
        (found,) = [a for a in self.containerd.sim.attachments() if a["container_id"] == self.id]
        return found
