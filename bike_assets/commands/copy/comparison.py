"""The result of comparing one table, or one kind of file, on both sides. Comparing does not belong here."""

from dataclasses import dataclass, field


@dataclass
class Comparison:
    """One line of the table at the end.

    Attributes:
        what: the table, or the kind of file.
        here: number of rows or files in the home.
        there: number of rows or files in the target.
        sent: number of them that this copy sent; the target had the others.
        differences: what still differs, for the message.
    """

    what: str
    here: int = 0
    there: int = 0
    sent: int = 0
    differences: list[str] = field(default_factory=list)
