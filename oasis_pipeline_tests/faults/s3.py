"""A real S3 server for all benches of a run, and the faulty proxy before it for one.

Here: starting it, and an empty store for each trial. Not here: the faults (``s3_proxy``).
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from oasis_pipeline.storage.objects import LocalStore, S3Store
from oasis_pipeline_tests.faults.bench import Bench
from oasis_pipeline_tests.faults.s3_proxy import FaultyProxy

CREDENTIALS = {
    "aws_access_key_id": "testing",
    "aws_secret_access_key": "testing-secret",
    "region_name": "us-east-1",
}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
    "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
    "AWS_DEFAULT_REGION": CREDENTIALS["region_name"],
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
BUCKET = "oasis-faults"


class Server:
    """SeaweedFS on ports of this machine."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="weed-", ignore_cleanup_errors=True)
        ports = _free_ports(4)
        self.port = ports[3]
        roles = ("-master.port", "-volume.port", "-filer.port", "-s3.port")
        command = [
            str(Path(sys.executable).parent / "weed"),
            "server",
            f"-dir={self.folder.name}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            "-master.telemetry=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-volume.max=100",
            "-master.volumeSizeLimitMB=64",
            *(f"{role}={port}" for role, port in zip(roles, ports, strict=True)),
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder.name,
            # told of nobody it asks nobody who they are; one that knows identities forgets them while it reads them anew
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            start_new_session=True,
        )
        self._until_it_answers(lambda: self.client.create_bucket(Bucket=BUCKET))

    def _until_it_answers(self, ask: Callable[[], Any]) -> None:
        end = time.monotonic() + 120
        while True:
            try:
                ask()
                return
            except Exception:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.close()
                    raise
                time.sleep(0.5)

    @property
    def client(self) -> Any:
        """A client of the server itself, around the proxy."""
        import boto3

        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", **CREDENTIALS)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


class BenchS3:
    """What a bench sees of the server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.proxy = FaultyProxy(server.port)
        self.client = server.client

    def fresh_store(self, local: Path) -> S3Store:
        """A store under a prefix of its own, with the objects of a folder."""
        store = S3Store(BUCKET, f"field/{random.SystemRandom().randrange(1 << 60):x}", client=self.client)
        source = LocalStore(local)
        for path in source.list():
            store.put_bytes(path, source.get_bytes(path))
        return store


def s3_of(bench: Bench) -> BenchS3:
    """The proxy of a bench; the server is started at the first question."""
    workshop = bench.workshop
    with workshop.guard:
        if "s3" not in workshop.shared:
            server = Server()
            workshop.shared["s3"] = server
            workshop.closing.append(server.close)
    if "s3" not in bench.own:
        bench.own["s3"] = BenchS3(workshop.shared["s3"])
        bench.closing.append(bench.own["s3"].proxy.close)
    found: BenchS3 = bench.own["s3"]
    return found


def _free_ports(count: int) -> list[int]:
    """Ports that are free together with those 10,000 higher, where the server speaks another protocol."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 45_000)
        try:
            for number in (port, port + 10_000):
                with closing(socket.socket()) as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        found.append(port)
    return found
