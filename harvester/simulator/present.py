"""The present day of a service's worlds: the one thing that moves in a world that ages. Pure: no clock of its own."""

import math

from harvester.simulator.age_options import AgeOptions


class Present:
    """What day it is for all accounts of a service.

    Args:
        options: where it begins, and whether the server's clock moves it.
    """

    def __init__(self, options: AgeOptions) -> None:
        self._options = options
        self._day = options.day

    @property
    def day(self) -> float | None:
        """Days since campaign 0 was sent; None in a world that does not age."""
        return self._day

    def advance_to(self, day: float) -> None:
        """Let it be this day.

        Raises:
            ValueError: the day is over, or the world does not age.
        """
        if self._day is None:
            raise ValueError(f"day: expected a world that ages, got day {day} for one that does not; set age.day")
        if not self._day <= day < math.inf:
            raise ValueError(f"day: expected {self._day} or later, got {day}; a world grows no younger")
        self._day = day

    def follow(self, now_s: float) -> None:
        """Let the days pass that have passed by this second of the server's clock, if it moves them; never back."""
        first, day_s = self._options.day, self._options.day_s
        if first is not None and day_s is not None and self._day is not None:
            self._day = max(self._day, first + now_s // day_s)
