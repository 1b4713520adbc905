# SPDX-License-Identifier: BSD-3-Clause
"""What containers are made of, and folders for runtimes that insist on theirs."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile


def private_folders():
    """What is written to these folders from here on is gone with the tests."""
    for folder in ("/etc", "/opt", "/var/lib"):
        layer = pathlib.Path("/run/layers" + folder)
        if not layer.exists():
            for part in ("upper", "work"):
                (layer / part).mkdir(parents=True)
            subprocess.run(["mount", "--no-mtab", "-t", "overlay", "overlay", "-o",
                            f"lowerdir={folder},upperdir={layer}/upper,workdir={layer}/work", folder], check=True)


def make_rootfs(folder):
    """busybox, and nothing else."""
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (folder / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), folder / "bin" / "busybox")
    subprocess.run(["chroot", folder, "/bin/busybox", "--install", "-s", "/bin"], check=True)


def make_image(path, rootfs, name, command):
    """An OCI image archive of one layer."""
    blobs = {}

    def blob(content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(rootfs, arcname=".")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    content = layer.getvalue()
    config = blob(json.dumps({
        "architecture": machine, "os": "linux", "config": {"Entrypoint": command, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest()]},
    }).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = blob(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
        "layers": [blob(content, "application/vnd.oci.image.layer.v1.tar")],
    }).encode(), "application/vnd.oci.image.manifest.v1+json")
    index = {"schemaVersion": 2, "manifests": [{**manifest, "annotations": {
        "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}}]}
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode(),
             **{f"blobs/sha256/{digest}": content for digest, content in blobs.items()}}
    with tarfile.open(path, "w") as tar:
        for file, data in files.items():
            info = tarfile.TarInfo(file)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
