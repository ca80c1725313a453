"""Lanes go to workers on other machines, and their outcomes come back: Celery as a transport (decision 18).

Everything that knows Celery or kombu is in here. User code is run by the pool of `dispatch.embedded`, in the worker's
process tree. `celery -A twingraph.dispatch.celery worker` finds `app`.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """The application for Celery's own command line, by the settings of this process."""
    if name == "app":
        from twingraph.dispatch.celery.serving import worker_app

        return worker_app()
    raise AttributeError(name)
