"""PostgreSQL: the machine's own programs where it has them, else those inside a wheel.

Its cluster is made here, so a server that already runs is never touched. What is written is not forced to the disk:
the data is that of tests, and a killed server loses nothing by it.
"""

import glob
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, List, Optional

from tools.services.base import Service, ServiceError, run
from tools.services.places import folder_of, say

# Where package managers put the programs, which mostly are not on the search path.
PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
WHEEL = "pgserver==0.1.4"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "max_connections": "200",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
}


class Postgres(Service):
    name = "postgres"
    # Fast: ends sessions and writes a checkpoint. Then at once, without. SIGTERM would wait for its clients.
    stop_signals = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

    def installed(self) -> bool:
        return self._programs() is not None

    def fetch(self) -> None:
        """The wheel is taken for its programs: any that fits the system will do, whatever Python it was built for."""
        say("installing PostgreSQL from a wheel, since this machine has none")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        form = ["--only-binary", ":all:", "--python-version", "3.12", "--target", str(self._wheel)]
        try:
            run([*pip, *form, WHEEL], "installing " + WHEEL)
        except ServiceError as error:
            raise ServiceError(f"{error}\nInstall PostgreSQL with the machine's own package manager.") from error

    @property
    def _wheel(self) -> Path:
        return self._place_for(folder_of(self.name)) / "programs" / WHEEL.replace("==", "-")

    def _programs(self) -> Optional[Path]:
        kept = [str(self._wheel / "pgserver" / "pginstall" / "bin")]
        on_path = shutil.which("postgres")
        found = [str(Path(on_path).resolve().parent)] if on_path else []
        for folder in [
            *found,
            *sorted((place for pattern in PLACES for place in glob.glob(pattern)), reverse=True),
            *kept,
        ]:
            if all(os.access(os.path.join(folder, name), os.X_OK) for name in ("postgres", "initdb", "psql")):
                return Path(folder)
        return None

    def _program(self, name: str) -> str:
        folder = self._programs()
        assert folder is not None, "asked before it was installed"
        return str(folder / name)

    # It refuses to run as root; then it runs as another user, who must be able to reach its data.

    def _user(self) -> Optional[pwd.struct_passwd]:
        if os.geteuid() != 0:
            return None
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        return names.get("postgres") or names["nobody"]

    def become(self) -> Optional[Callable[[], None]]:
        user = self._user()
        if user is None:
            return None
        uid, gid = user.pw_uid, user.pw_gid

        def lay_down_rights() -> None:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)

        return lay_down_rights

    @property
    def data(self) -> Path:
        return self._place_for(self.folder) / "data"

    def _place_for(self, folder: Path) -> Path:
        if self._user() is None or _open_to_all(folder):
            return folder
        own = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
        return Path(tempfile.gettempdir()) / f"twingraph-postgres-{own}"

    def forget(self) -> None:
        super().forget()
        if self._place_for(self.folder) != self.folder and not any(self._place_for(self.folder).iterdir()):
            self._place_for(self.folder).rmdir()

    def prepare(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(str(self.data), ignore_errors=True)
        self.data.mkdir(parents=True, mode=0o700)
        user = self._user()
        if user is not None:
            os.chown(str(self.data), user.pw_uid, user.pw_gid)
        make = [self._program("initdb"), "-D", str(self.data), "-U", "postgres", "--auth=trust", "-E", "UTF8"]
        run([*make, "--locale=C", "--no-sync"], "making a PostgreSQL cluster", cwd=os.sep, preexec_fn=self.become())

    def command(self, port: int) -> List[str]:
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", str(self.data), "-p", str(port), *settings]

    def answers(self, port: int) -> bool:
        ask = [self._program("psql"), "-XAtqc", "select 1", self._address(port)]
        return (
            subprocess.run(ask, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).returncode
            == 0
        )

    def environment(self, port: int) -> Dict[str, str]:
        return {"TWINGRAPH_DATABASE_URL": self._address(port)}

    def _address(self, port: int) -> str:
        return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def _open_to_all(folder: Path) -> bool:
    """Whether any user of the machine may walk there."""
    return all(parent.stat().st_mode & 0o001 for parent in [folder, *folder.parents] if parent.exists())
