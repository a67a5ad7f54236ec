"""Jobs by their names, as workflows and runs hold them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Named(Mapping[str, T_co]):
    """A mapping of jobs by name, in their order; an unknown name is a NotFound that tells the nearest."""

    @property
    @abstractmethod
    def jobs(self) -> Mapping[str, T_co]:
        """The jobs by their names, as they are at this moment."""

    def __contains__(self, name: object) -> bool:
        return name in self.jobs

    def __iter__(self) -> Iterator[str]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def __bool__(self) -> bool:
        return True  # it is there, also while it is empty

    def get(self, name: str, default: Any = None) -> Any:
        """Return the job of this name, or the default."""
        return self.jobs.get(name, default)
