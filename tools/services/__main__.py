"""`python -m tools.services install|start|stop|status|reset|env [SERVICE...]`: for these services, or for all."""

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Dict, List

from tools.services.base import Service, ServiceError
from tools.services.catalog import SERVICES, services
from tools.services.places import say


def start(service: Service) -> None:
    """Runs until somebody stops it, also when tests that used it are over."""
    service.start()
    (service.folder / "kept").touch()


def stop(service: Service) -> None:
    service.stop()
    (service.folder / "kept").unlink(missing_ok=True)


ACTS: Dict[str, Callable[[Service], None]] = {
    "install": lambda service: service.install(),
    "start": start,
    "stop": stop,
    "reset": lambda service: service.reset(),
}


def at_once(act: Callable[[Service], None], wanted: List[Service]) -> int:
    """All of them side by side; every failure is told."""

    def one(service: Service) -> bool:
        try:
            act(service)
        except ServiceError as error:
            say(str(error))
            return False
        return True

    with ThreadPoolExecutor(max_workers=8) as threads:
        return 0 if all(list(threads.map(one, wanted))) else 1


def tell(wanted: List[Service], *, as_json: bool) -> None:
    standings = [service.standing() for service in wanted]
    if as_json:
        print(json.dumps([standing._asdict() for standing in standings], indent=2))
        return
    for standing in standings:
        address = f"127.0.0.1:{standing.port}" if standing.port else ""
        print(f"{standing.name:12} {standing.state:10} {address}".rstrip())
        for name, value in standing.environment.items():
            print(f"{'':12} {name}={value}")


def export(wanted: List[Service]) -> None:
    for service in wanted:
        for name, value in service.standing().environment.items():
            print(f"export {name}='{value}'")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.services", description=__doc__)
    parser.add_argument("act", choices=[*ACTS, "status", "env"])
    parser.add_argument("services", nargs="*", metavar="SERVICE", help=f"of {', '.join(sorted(SERVICES))}; default all")
    parser.add_argument("--json", action="store_true", help="status as JSON")
    parser.add_argument("--for-use", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        wanted = services(arguments.services)
    except ServiceError as error:
        parser.error(str(error))
    if arguments.act == "env":
        export(wanted)
        return 0
    code = 0
    if arguments.act in ACTS:
        act = Service.start if arguments.for_use else ACTS[arguments.act]
        code = at_once(act, wanted)
    if arguments.act in ("start", "status", "reset"):
        tell(wanted, as_json=arguments.json)
    return code


if __name__ == "__main__":
    sys.exit(main())
