"""``make demo``: a real Label Studio with the shipped sample scenes, masks made from words, and a project to type words into.

``python -m tools.demo`` stays up until Ctrl-C. With ``--check`` it verifies what it did, writes ``demo-output/`` and ends.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tools.backend_server import BackendServer
from tools.demo_check import check_demo
from tools.demo_projects import DemoError, DemoProject, make_projects, pre_annotate
from tools.label_studio_api import LabelStudioApi, LabelStudioApiError
from tools.label_studio_server import EMAIL, PASSWORD, ROOT, new_label_studio
from tools.processes import ServerError, leave_by_exceptions

DATA = ROOT / ".demo"
OUTPUT = ROOT / "demo-output"


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Say what is being done, and afterwards how long it took."""
    print(f"  {what:<58}", end="", flush=True)
    begin = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - begin:6.1f} s", flush=True)


def run(*, check: bool) -> bool:
    """Start everything and pre-annotate; then check it, or stay up until Ctrl-C.

    Returns:
        Whether all checks passed (always, when none were asked for).

    Raises:
        ServerError: Label Studio or the backend did not start.
        LabelStudioApiError: Label Studio refused a call.
        DemoError: a task got no prediction.
    """
    shutil.rmtree(DATA, ignore_errors=True)
    print("Wordmask demo", flush=True)
    with ExitStack() as stack:
        with _step("Starting Label Studio"):
            studio = stack.enter_context(new_label_studio(DATA / "label-studio"))
        with _step("Starting the Wordmask backend"):
            backend = stack.enter_context(BackendServer(DATA / "backend", studio.url, studio.token))
        api = LabelStudioApi(studio.url, studio.token)
        stack.callback(api.close)
        with _step("Creating projects, importing scenes, connecting the backend"):
            projects = make_projects(api, backend.url)
        for project in projects:
            if project.is_pre_annotated:
                with _step(f"Pre-annotating “{project.title}”"):
                    pre_annotate(api, project)
        if check:
            with _step("Checking masks, taking pictures"):
                report = check_demo(api, projects, OUTPUT)
            print(report.text(OUTPUT.relative_to(ROOT)))
            return report.passed
        _say_where(studio.url, projects)
        _wait_for_ever()
    return True


def _say_where(url: str, projects: list[DemoProject]) -> None:
    print(f"\nLabel Studio is at {url}\n  log in as {EMAIL} with password {PASSWORD}\n")
    for project in projects:
        print(f"  {project.title}: {project.hint}\n    {url}/projects/{project.id}/data")
    print("\nCtrl-C ends the demo. What you do in it is kept in .demo/ until the next one starts.", flush=True)


def _wait_for_ever() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)


def main() -> int:
    """Run the demo; 1 when something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="verify the masks, write demo-output/ and end")
    leave_by_exceptions()
    try:
        return 0 if run(check=parser.parse_args().check) else 1
    except (ServerError, LabelStudioApiError, DemoError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
