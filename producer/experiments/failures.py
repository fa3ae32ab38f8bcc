"""Models on which a call failed: there is no figure for work that is not done, but for that of the others."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from producer.experiments.job import CannotRunError


class Failures:
    """Notes on which models a call failed, so that they are left out and the others go on."""

    def __init__(self) -> None:
        self._errors: dict[str, CannotRunError] = {}

    def __contains__(self, model: str) -> bool:
        return model in self._errors

    @contextmanager
    def noted(self, model: str) -> Iterator[None]:
        """Note that a call failed in the body, which ends there, and go on behind it."""
        try:
            yield
        except CannotRunError as error:
            self._errors[model] = error

    def all_of(self, models: Collection[str]) -> bool:
        """Tell whether none of the models is left."""
        return bool(models) and all(model in self for model in models)

    def check(self, models: Collection[str]) -> None:
        """Raise the first failure if none of the models is left.

        Raises:
            CannotRunError: none is.
        """
        if self.all_of(models):
            raise next(iter(self._errors.values()))

    @property
    def reasons(self) -> dict[str, str]:
        """Why each model is left out."""
        return dict.fromkeys(self._errors, "left out: a call failed on it")

    @property
    def problems(self) -> tuple[str, ...]:
        """How the calls failed."""
        return tuple(map(str, self._errors.values()))
