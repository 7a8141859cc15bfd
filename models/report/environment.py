"""The templates of reports and what they are filled with everywhere."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("models.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = lambda value: "–" if value is None else f"{value:.3f}"
    environment.filters["signed"] = lambda value: f"{value:+.3f}".replace("-", "−")
    environment.filters["short"] = lambda path: "/".join(path.split("/")[-2:])
    return environment


def render(template: str, **values: Any) -> str:
    """One page; every value is escaped unless it is markup already."""
    return _environment().get_template(template).render(version=importlib.metadata.version("wordmask"), **values)
