"""What a copy found of one table, or of one kind of file, on both sides. Finding it out does not belong here."""

from dataclasses import dataclass, field


@dataclass
class Comparison:
    """One line of the table at the end.

    Attributes:
        what: the table, or the kind of file.
        here: rows or files of the home.
        there: rows or files of the target.
        sent: how many of them were sent now; the others were there.
        wrong: what differs after all, for people.
    """

    what: str
    here: int = 0
    there: int = 0
    sent: int = 0
    wrong: list[str] = field(default_factory=list)
