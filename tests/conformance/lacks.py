"""What a pair of dispatch and platform truly lacks, with the reason. Every other cell of the matrix must hold."""

from __future__ import annotations

_NO_KEY = (
    "a pickle is opened only where its signature can be checked, and the key of a home never leaves for a container"
)

# (dispatch, platform, case) -> reason
LACKS: dict[tuple[str, str, str], str] = {
    ("embedded", "docker", "result_pickled"): _NO_KEY,
    ("embedded", "docker warm", "result_pickled"): _NO_KEY,
    ("celery-redis", "docker", "result_pickled"): _NO_KEY,
}
