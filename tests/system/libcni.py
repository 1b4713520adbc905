# SPDX-License-Identifier: BSD-3-Clause
"""A network of several plugins, called as libcni calls them (containernetworking/cni, libcni/api.go).

ADD goes through the list in order, each plugin's result is the next one's prevResult, and the last result is cached with
the configuration. CHECK goes through it in order and DEL in reverse, all with the cached result; the cache is dropped
when every DEL has succeeded. GC deletes what is cached and not valid, then tells each plugin what is valid. runtimeConfig
has the capabilities that a plugin declares.
"""

import base64
import json
import os
import subprocess
import time

from simulation import BIN, PATIENCE_S, CniResult

PLUGIN_PATH = [BIN, "/usr/lib/cni"]


class CniError(AssertionError):
    """A plugin failed: its type, and what it answered."""

    def __init__(self, plugin, command, result):
        super().__init__(f"{plugin} {command}: {result}")
        self.plugin, self.result = plugin, result


class Network:
    """A conflist, its runtime's cache, and the host that plugins run on."""

    def __init__(self, sim, plugins, version="1.0.0", name="chain"):
        self.sim, self.version, self.name = sim, version, name
        self.plugins = [dict(plugin, **({"socket": str(sim.hostd_socket)} if plugin["type"] == "podport-cni" else {}))
                        for plugin in plugins]
        self.cache = sim.folder / f"cni-cache-{name}"
        self.cache.mkdir(exist_ok=True)

    # ---- one plugin --------------------------------------------------------------------------------------------------

    def run(self, command, plugin, environment, capabilities=None, prev_result=None, inject=None):
        config = {key: value for key, value in plugin.items() if key != "capabilities"}
        config.update(name=self.name, cniVersion=self.version, **(inject or {}))
        if prev_result is not None:
            config["prevResult"] = prev_result
        runtime_config = {key: value for key, value in (capabilities or {}).items() if plugin.get("capabilities", {}).get(key)}
        if runtime_config:
            config["runtimeConfig"] = runtime_config
        binary = next(path for folder in PLUGIN_PATH if os.access(path := f"{folder}/{plugin['type']}", os.X_OK))
        begin = time.monotonic()
        process = subprocess.run(self.sim.host.command(binary), input=json.dumps(config), capture_output=True, text=True,
                                 check=False, timeout=4 * PATIENCE_S,
                                 env={"CNI_COMMAND": command, "CNI_PATH": ":".join(map(str, PLUGIN_PATH)),
                                      **self.sim.environment(), **environment})
        result = CniResult(process, time.monotonic() - begin)
        if not result.ok:
            raise CniError(plugin["type"], command, result)
        return result

    @staticmethod
    def environment(pod, netns=None):
        return {"CNI_CONTAINERID": pod.container_id, "CNI_IFNAME": pod.ifname,
                "CNI_NETNS": pod.netns.path if netns is None else netns}

    # ---- the list ----------------------------------------------------------------------------------------------------

    def cached(self, pod):
        return self.cache / f"{self.name}-{pod.container_id}-{pod.ifname}"

    def read_cache(self, pod, key):
        path = self.cached(pod)
        return json.loads(path.read_text())[key] if path.exists() else None

    def cached_result(self, pod):
        return self.read_cache(pod, "result")

    def cached_capabilities(self, pod):
        return self.read_cache(pod, "capabilityArgs")

    def add(self, pod, **capabilities):
        result = None
        for plugin in self.plugins:
            result = self.run("ADD", plugin, self.environment(pod), capabilities, result).json
        self.cached(pod).write_text(json.dumps({
            "kind": "cniCacheV1", "containerId": pod.container_id, "ifName": pod.ifname, "networkName": self.name,
            "config": base64.b64encode(json.dumps({"plugins": self.plugins}).encode()).decode(),
            "capabilityArgs": capabilities, "result": result}))
        pod.result = result
        return result

    def check(self, pod, without=()):
        for plugin in (plugin for plugin in self.plugins if plugin["type"] not in without):
            self.run("CHECK", plugin, self.environment(pod), self.cached_capabilities(pod), self.cached_result(pod))

    def delete(self, pod, netns=None):
        capabilities = self.cached_capabilities(pod)
        result = self.cached_result(pod) if self.version >= "0.4.0" else None
        for plugin in reversed(self.plugins):
            self.run("DEL", plugin, self.environment(pod, netns), capabilities, result)
        self.cached(pod).unlink(missing_ok=True)
        pod.result = None

    def gc(self, valid):
        """valid: pods. Those that are cached and not among them are deleted first."""
        keys = {(pod.container_id, pod.ifname) for pod in valid}
        for pod in list(self.sim.pods):
            if self.cached(pod).exists() and (pod.container_id, pod.ifname) not in keys:
                self.delete(pod)
        attachments = [{"containerID": container_id, "ifname": ifname} for container_id, ifname in sorted(keys)] or None
        for plugin in self.plugins:
            self.run("GC", plugin, {}, inject={"cni.dev/valid-attachments": attachments, "cni.dev/attachments": attachments})

    def status(self):
        for plugin in self.plugins:
            self.run("STATUS", plugin, {})
