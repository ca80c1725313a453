"""An S3 endpoint: versitygw, built from its Go module. Objects are plain files, and requests are really checked."""

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Dict, List

from tools.services.base import Service, ServiceError, run
from tools.services.places import cache, say

VERSION = "1.8.0"
# A server on loopback with nothing but test data: these protect nothing.
ACCESS_KEY = "twingraph-test"
SECRET_KEY = "twingraph-test-secret"


class S3(Service):
    name = "s3"

    @property
    def program(self) -> Path:
        return cache() / "programs" / f"versitygw-{VERSION}" / "versitygw"

    def installed(self) -> bool:
        return os.access(str(self.program), os.X_OK)

    def fetch(self) -> None:
        go = shutil.which("go")
        if go is None:
            raise ServiceError(
                "the S3 service is built from a Go module, and there is no `go` on this machine; install Go"
            )
        say(f"building versitygw {VERSION}, once; this takes a minute or two")
        self.program.parent.mkdir(parents=True, exist_ok=True)
        goes_to = {**os.environ, "GOBIN": str(self.program.parent), "GOFLAGS": "-trimpath"}
        run(
            [go, "install", f"github.com/versity/versitygw/cmd/versitygw@v{VERSION}"], "building versitygw", env=goes_to
        )

    def prepare(self) -> None:
        for part in ("objects", "versions", "accounts"):
            (self.data / part).mkdir(parents=True, exist_ok=True)

    def command(self, port: int) -> List[str]:
        address, accounts, versions, objects = (
            f"127.0.0.1:{port}",
            str(self.data / "accounts"),
            str(self.data / "versions"),
            str(self.data / "objects"),
        )
        server = [str(self.program), "--quiet", "--port", address, "--iam-dir", accounts]
        return [*server, "posix", "--versioning-dir", versions, objects]

    def surroundings(self) -> Dict[str, str]:
        return {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}

    def answers(self, port: int) -> bool:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"http://127.0.0.1:{port}/", timeout=2):
                return True
        except urllib.error.HTTPError as error:
            return error.code == 403  # it refuses who has no key, as it should
        except OSError:
            return False

    def environment(self, port: int) -> Dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
