"""The memory of a run is that of its process and of all that this has started."""

from __future__ import annotations

import subprocess
import sys

from twingraph.dispatch.embedded.usage import resident_bytes

MB = 1 << 20
CHILD = """
import sys
held = bytearray(b"1" * (30 << 20))
print("here", flush=True)
sys.stdin.read()
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_children_count() -> None:
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"here\n"
        used = resident_bytes(process.pid)
        process.stdin.close()
    assert 35 * MB < used < 200 * MB
    assert resident_bytes(process.pid) == 0
