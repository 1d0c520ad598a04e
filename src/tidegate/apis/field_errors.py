"""Complaints about fields, collected with their paths and worded as Knative words them.

errors = FieldErrors()
errors.at("spec").at("traffic", 0).out_of_bounds(101, 0, 100, "percent")
str(errors)   # expected 0 <= 101 <= 100: spec.traffic[0].percent
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.kube.errors import Cause


@dataclass(frozen=True)
class FieldError:
    """One complaint; `details` goes on a line of its own."""

    message: str
    paths: tuple[str, ...]
    details: str = ""

    def __str__(self) -> str:
        text = f"{self.message}: {', '.join(self.paths)}"
        return f"{text}\n{self.details}" if self.details else text


@dataclass(frozen=True)
class FieldErrors:
    """A collector of complaints, seen from one place in the object."""

    prefix: str = ""
    _found: list[FieldError] = field(default_factory=list[FieldError])

    def at(self, name: str, index: int | None = None) -> FieldErrors:
        """The same collector seen from the field `name` below, or from its item `index`."""
        return FieldErrors(self.path(name, index), self._found)

    def path(self, name: str, index: int | None = None) -> str:
        """The full path of a field below; an empty name is this place itself."""
        dot = "." if self.prefix and name and not name.startswith("[") else ""
        path = f"{self.prefix}{dot}{name}"
        return path if index is None else f"{path}[{index}]"

    def add(self, message: str, *names: str, details: str = "") -> None:
        """Complain about the named fields."""
        paths = tuple(self.path(name) for name in names)
        self._found.append(FieldError(message, paths, details))

    def missing(self, *names: str) -> None:
        self.add("missing field(s)", *names)

    def disallowed(self, *names: str) -> None:
        self.add("must not set the field(s)", *names)

    def invalid(self, value: object, name: str, details: str = "") -> None:
        self.add(f"invalid value: {value}", name, details=details)

    def invalid_key(self, key: str, name: str = "", details: str = "") -> None:
        self.add(f'invalid key name "{key}"', name, details=details)

    def out_of_bounds(self, value: object, lower: object, upper: object, name: str) -> None:
        self.add(f"expected {lower} <= {value} <= {upper}", name)

    def missing_one_of(self, *names: str) -> None:
        self.add("expected exactly one, got neither", *names)

    def multiple_one_of(self, *names: str) -> None:
        self.add("expected exactly one, got both", *names)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self._merged())

    def causes(self) -> tuple[Cause, ...]:
        """One `Status` cause per field."""
        return tuple(
            Cause("FieldValueInvalid", error.message, path)
            for error in self._merged()
            for path in error.paths
        )

    def _merged(self) -> list[FieldError]:
        paths: dict[tuple[str, str], set[str]] = {}
        for error in self._found:
            paths.setdefault((error.message, error.details), set()).update(error.paths)
        return [
            FieldError(message, tuple(sorted(found)), details)
            for (message, details), found in sorted(paths.items())
        ]
