"""A process may end while one of its threads reads a home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

READS = """
import sys, threading, time
from pathlib import Path
from twingraph.store.sqlite.records import SqliteRecords
from twingraph.store.home import Home
from twingraph.store.sqlite.schema import prepare

home = Home(Path(sys.argv[1])).open()
prepare(home)
begun = threading.Event()

def read():
    records = SqliteRecords(home)
    long = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000000) select max(i) from n"
    begun.set()
    records._db.execute(long).fetchall()

threading.Thread(target=read, daemon=True).start()
begun.wait()
time.sleep(0.05)
"""


def test_it_ends_without_a_word(tmp_path: Path) -> None:
    around = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", READS, str(tmp_path / "home")]
    done = subprocess.run(command, env=around, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
