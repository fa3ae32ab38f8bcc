"""Charts: pictures of a result, each a Vega-Lite specification with its data inside.

There is a module for each experiment, with `charts(result)`; what they have in common is in `style.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Chart:
    """A picture.

    Attributes:
        name: what its file is called, and its anchor on a page: lower case, hyphens.
        title: a line on what it shows.
        alt: what is to be seen, in sentences that are computed from the figures: for who can't see it.
        spec: the Vega-Lite specification.
        series: what its colours stand for: the name of each series, and its colour. A page offers each as a
            switch.
        findings: the report's sentences that belong beside it.
        small: whether a page may show three of them in a row; it names its series itself then.
    """

    name: str
    title: str
    alt: str
    spec: dict[str, Any]
    series: dict[str, str]
    findings: tuple[str, ...] = ()
    small: bool = False

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The data that is drawn, all of it, as records."""
        return [row for rows in self.spec.get("datasets", {}).values() for row in rows]
