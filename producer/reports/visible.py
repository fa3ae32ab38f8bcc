"""Text that others wrote (names, arguments, errors, saved runs), so that it is seen and steers nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console
from rich.segment import Segment

#: Characters that steer a terminal, or turn text around, and surrogates, which can't be written as UTF-8.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Return text that others wrote with escapes for what would not be seen: `\x1b`, `\u202e`."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


class Terminal(Console):
    """A console on which all text is `visible`."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        # Here all comes by that is printed or drawn, laid out already; what rich itself steers the terminal
        # with is no text yet, or marked.
        return super()._render_buffer(
            segment if segment.control else segment._replace(text=visible(segment.text)) for segment in buffer
        )
