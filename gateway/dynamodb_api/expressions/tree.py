"""What expressions mean, as trees: names are resolved, values are there."""

from __future__ import annotations

from dataclasses import dataclass

from hearth.model.attribute_value import Value


@dataclass(frozen=True, slots=True)
class Path:
    """Names of attributes and positions in lists; the first is a name."""

    parts: tuple[str | int, ...]

    @property
    def top(self) -> str:
        return str(self.parts[0])

    def __str__(self) -> str:
        return "[" + ", ".join(f"[{part}]" if isinstance(part, int) else part for part in self.parts) + "]"


@dataclass(frozen=True, slots=True)
class Literal:
    value: Value


@dataclass(frozen=True, slots=True)
class Size:
    path: Path


Operand = Path | Literal | Size


@dataclass(frozen=True, slots=True)
class Comparison:
    """operator: = <> < <= > >="""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    operand: Operand
    options: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """attribute_exists, attribute_not_exists, attribute_type, begins_with, contains"""

    name: str
    arguments: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Not:
    condition: Condition


@dataclass(frozen=True, slots=True)
class And:
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Or:
    left: Condition
    right: Condition


Condition = Comparison | Between | In | Function | Not | And | Or


def paths_of(condition: Condition) -> list[Path]:
    """All that a condition looks at."""
    match condition:
        case And(left, right) | Or(left, right):
            return paths_of(left) + paths_of(right)
        case Not(inner):
            return paths_of(inner)
        case Comparison(_, one, other):
            operands: tuple[Operand, ...] = (one, other)
        case Between(one, low, high):
            operands = (one, low, high)
        case In(one, options):
            operands = (one, *options)
        case Function(_, arguments):
            operands = arguments
    found = (operand.path if isinstance(operand, Size) else operand for operand in operands)
    return [path for path in found if isinstance(path, Path)]


@dataclass(frozen=True, slots=True)
class IfNotExists:
    path: Path
    otherwise: Source


@dataclass(frozen=True, slots=True)
class ListAppend:
    first: Source
    second: Source


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """operator: + or -"""

    operator: str
    left: Source
    right: Source


#: what an attribute is set to
Source = Path | Literal | IfNotExists | ListAppend | Arithmetic


@dataclass(frozen=True, slots=True)
class Update:
    sets: tuple[tuple[Path, Source], ...] = ()
    removes: tuple[Path, ...] = ()
    adds: tuple[tuple[Path, Value], ...] = ()
    deletes: tuple[tuple[Path, Value], ...] = ()

    @property
    def paths(self) -> list[Path]:
        """All that it changes."""
        return [*(path for path, _ in (*self.sets, *self.adds, *self.deletes)), *self.removes]
