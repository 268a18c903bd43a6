"""Parses the simulated part of the portal's query language, and applies a query to a table.

A condition compares a field with a literal, or tests it for null; AND joins conditions. Other parameters (limit,
delimiter) belong to `explore`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from bike_assets.simulator.dataset import Kind
from bike_assets.simulator.refusals import malformed_query, unparsable_date

TOKEN = re.compile(
    r"""\s*(?:
        (?P<date>date\s*(?P<quote>['"])(?P<moment>.*?)(?P=quote))
      | '(?P<single>[^']*)' | "(?P<double>[^"]*)"
      | (?P<number>-?\d+(?:\.\d+)?)\b
      | (?P<operator>>=|<=|!=|=|>|<)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<strange>\S)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
MOMENT = re.compile(r"\d{4}([-/])\d\d\1\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?")
COMPARISONS = {
    "=": pc.equal,
    "!=": pc.not_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "<": pc.less,
    "<=": pc.less_equal,
}
Value = str | int | float | datetime
TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Condition:
    """A field compared with a value, or with null where the operator is "is null" or "is not null"."""

    field: str
    operator: str
    value: Value | None = None

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        """Return whether the condition holds for each row; null where the field is null."""
        column = table[self.field]
        if self.operator == "is null":
            return pc.is_null(column)
        if self.operator == "is not null":
            return pc.is_valid(column)
        return COMPARISONS[self.operator](_plain(column), pa.scalar(self.value))


@dataclass(frozen=True)
class Query:
    """A parsed query.

    Attributes:
        conditions: all have to hold.
        select: the selected fields in order; None for every field.
        order_by: fields, each with "ascending" or "descending".
    """

    conditions: tuple[Condition, ...]
    select: tuple[str, ...] | None
    order_by: tuple[tuple[str, str], ...]

    def names(self) -> set[str]:
        """Return the fields that the query names."""
        asked = {*(self.select or ()), *(name for name, _ in self.order_by)}
        return asked | {condition.field for condition in self.conditions}

    def bounds(self, time: str, first: datetime, end: datetime) -> tuple[datetime, datetime]:
        """Narrow the range from first (included) to end (excluded) by the conditions on the time field."""
        for condition in self.conditions:
            if condition.field == time and isinstance(condition.value, datetime):
                value = condition.value
                if condition.operator in {">", ">=", "="}:
                    first = max(first, value + TICK if condition.operator == ">" else value)
                if condition.operator in {"<", "<=", "="}:
                    end = min(end, value if condition.operator == "<" else value + TICK)
        return first, end

    def apply(self, table: pa.Table, bounded: str) -> pa.Table:
        """Filter and sort rows, which already match the bounds of the field `bounded`."""
        for condition in self.conditions:
            if condition.field != bounded or condition.operator not in {"<", "<=", "=", ">", ">="}:
                table = table.filter(condition.mask(table))
        if not self.order_by:
            return table
        keys = pa.table({name: _plain(table[name]) for name, _ in self.order_by})
        return table.take(pc.sort_indices(keys, sort_keys=list(self.order_by)))


def parse_query(params: Mapping[str, str], kinds: Mapping[str, Kind], zone: ZoneInfo) -> Query:
    """Parse the clauses of a request: where, select and order_by.

    Args:
        params: the request's parameters. A missing or empty clause has no effect; select=* selects every field.
        kinds: type of every field.
        zone: time zone of dates without one.

    Raises:
        RefusalError: a field is unknown, a clause is malformed, or a date is invalid.
    """
    where, select, order_by = (params.get(name, "") for name in ("where", "select", "order_by"))
    conditions = tuple(_ConditionParser(where, kinds, zone).conditions()) if where.strip() else ()
    selected = None if select.strip() in {"", "*"} else tuple(name.strip() for name in select.split(","))
    for name in selected or ():
        _known(name, kinds, "select")
    ordered = tuple(_order(part, kinds) for part in order_by.split(",")) if order_by.strip() else ()
    return Query(conditions, selected, ordered)


class _ConditionParser:
    def __init__(self, text: str, kinds: Mapping[str, Kind], zone: ZoneInfo) -> None:
        self._tokens = list(TOKEN.finditer(text.strip()))
        self._kinds, self._zone = kinds, zone
        self._place = 0

    def conditions(self) -> list[Condition]:
        found = [self._condition()]
        while self._place < len(self._tokens):
            self._expect("and")
            found.append(self._condition())
        return found

    def _condition(self) -> Condition:
        name = self._next()["word"]
        if name is None:
            raise _unexpected()
        kind = _known(name, self._kinds, "where")
        token = self._next()
        if token["operator"]:
            return Condition(name, token["operator"], self._value(self._next(), kind))
        if (token["word"] or "").lower() != "is":
            raise _unexpected()
        negated = self._word_follows("not")
        self._expect("null")
        return Condition(name, "is not null" if negated else "is null")

    def _value(self, token: re.Match[str], kind: Kind) -> Value:
        text = token["single"] if token["single"] is not None else token["double"]
        moment = token["moment"]
        if kind == "datetime" and (moment is not None or text is not None):
            return _moment(moment if moment is not None else text, self._zone)
        if kind == "int" and token["number"]:
            return float(token["number"]) if "." in token["number"] else int(token["number"])
        if kind == "text" and text is not None:
            return text
        raise _unexpected()

    def _next(self) -> re.Match[str]:
        if self._place == len(self._tokens):
            raise _unexpected()
        self._place += 1
        return self._tokens[self._place - 1]

    def _word_follows(self, word: str) -> bool:
        follows = self._place < len(self._tokens) and (self._tokens[self._place]["word"] or "").lower() == word
        self._place += follows
        return follows

    def _expect(self, word: str) -> None:
        if not self._word_follows(word):
            raise _unexpected()


def _unexpected() -> Exception:
    return malformed_query("Syntax error", "where")


def _known(name: str, kinds: Mapping[str, Kind], clause: str) -> Kind:
    if name not in kinds:
        raise malformed_query(f"Unknown field: {name}", clause)
    return kinds[name]


def _order(part: str, kinds: Mapping[str, Kind]) -> tuple[str, str]:
    name, _, direction = part.strip().partition(" ")
    _known(name, kinds, "order_by")
    directions = {"": "ascending", "asc": "ascending", "desc": "descending"}
    if direction.strip().lower() not in directions:
        raise malformed_query("Syntax error", "order_by")
    return name, directions[direction.strip().lower()]


def _moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        if not MOMENT.fullmatch(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text.replace("/", "-"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise unparsable_date(text) from None


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
