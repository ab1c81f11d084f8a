"""Sets that do not keep still while they are read, and sets that hold contacts twice. Pure.

Such a set is a list in memory; all others are computed when they are asked for.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

from harvester.simulator.options import Options
from harvester.simulator.rows import Contact
from harvester.simulator.set_options import RepeatOptions, Shift, ShiftOptions

Newcomer = Callable[[int], Contact]
"""Gives the n-th contact, from 0, that comes into a set and was in none before."""


@dataclass(frozen=True, slots=True)
class History:
    """What a reader of a set may and must have seen.

    Attributes:
        throughout: ids of the contacts that were there all the time: none of them may be missing.
        ever: ids of all contacts that were there at some time: nobody else may be seen.
        repeats_served: how many contacts had their second row served: rows that a whole harvest drops.
        moves: how often the set has moved since it was first read.
    """

    throughout: frozenset[str]
    ever: frozenset[str]
    repeats_served: int = 0
    moves: int = 0


class LiveSet:
    """One set that may move after each of its pages, and what has ever been in it.

    Args:
        rows: what it holds at first.
        options: how it moves; None for a set that only has repeated rows.
        rng: of its moves.
        newcomer: gives those who come.
    """

    def __init__(self, rows: Iterable[Contact], options: ShiftOptions | None, rng: Random, newcomer: Newcomer) -> None:
        self._rows = list(rows)
        self._options = options
        self._rng = rng
        self._newcomer = newcomer
        self._newcomers = 0
        self._pages = 0
        self._moves = 0
        self.watch()

    @property
    def history(self) -> History:
        """What has become of it since `watch`."""
        return History(frozenset(self._throughout), frozenset(self._ever), len(self._repeats_served), self._moves)

    @property
    def rows(self) -> Sequence[Contact]:
        """What it holds now, in server order."""
        return self._rows

    def watch(self) -> None:
        """Begin the history anew; what was drawn stays, and so do the moves left."""
        ids = {contact.contact_id for contact in self._rows}
        self._throughout, self._ever = set(ids), set(ids)
        self._repeats_served: set[str] = set()

    def page_served(self, contacts: Iterable[Contact], reader: int) -> None:
        """Move, if it is time to.

        Who leaves is drawn from the rows before `reader`: those after it move up, and a reader who counts rows
        misses some.

        Args:
            contacts: the rows of the page.
            reader: the place, from 0, of the first row after the page.
        """
        self._repeats_served.update(contact.contact_id for contact in contacts if contact.is_repeat)
        self._pages += 1
        options = self._options
        if options is None or self._pages % options.every_pages or self._moves >= options.moves_max:
            return
        self._moves += 1
        shift = self._rng.choice(options.kinds)
        if shift is Shift.REMOVED:
            self._remove(self._rows[:reader], options.rows)
        else:
            self._add(options.rows, at_front=shift is Shift.FRONT)

    def _add(self, count: int, *, at_front: bool) -> None:
        new = [self._newcomer(self._newcomers + number) for number in range(count)]
        self._newcomers += count
        self._rows = [*new, *self._rows] if at_front else [*self._rows, *new]
        self._ever.update(contact.contact_id for contact in new)

    def _remove(self, read: Sequence[Contact], count: int) -> None:
        gone = {contact.contact_id for contact in self._rng.sample(read, min(count, len(read)))}
        self._rows = [contact for contact in self._rows if contact.contact_id not in gone]
        self._throughout -= gone


def live_set(rows: Sequence[Contact], options: Options, salt: str, newcomer: Newcomer) -> LiveSet | None:
    """Draw whether a set moves or holds contacts twice; None if it keeps still and is as it should be."""
    moves, repeats = Random(f"{salt}/moves"), Random(f"{salt}/repeats")  # noqa: S311  a world, no secret
    is_moving = moves.random() < options.shifts.share
    is_repeating = repeats.random() < options.repeats.share
    if not is_moving and not is_repeating:
        return None
    held = with_repeats(rows, options.repeats, repeats) if is_repeating else rows
    return LiveSet(held, options.shifts if is_moving else None, moves, newcomer)


def with_repeats(contacts: Sequence[Contact], options: RepeatOptions, rng: Random) -> list[Contact]:
    """Return the contacts, some of them twice: far apart, right after each other, and over a border between pages."""
    rows = list(contacts)
    for _ in range(options.each if len(rows) > 1 else 0):
        _repeat(rows, rng.randrange(len(rows) // 2), rng.randint(len(rows) // 2 + 1, len(rows)))
    for _ in range(options.each if rows else 0):
        place = rng.randrange(len(rows))
        _repeat(rows, place, place + 1)
    borders = range(options.page_rows, len(rows) + 1, options.page_rows)
    # In this order and at last, because each repeat moves all that follows it.
    for border in sorted(rng.sample(borders, min(options.each, len(borders)))):
        _repeat(rows, border - 1, border)
    return rows


def _repeat(rows: list[Contact], place: int, again: int) -> None:
    contact = rows[place]
    if sum(row.contact_id == contact.contact_id for row in rows) == 1:
        rows.insert(again, replace(contact, is_repeat=True))
