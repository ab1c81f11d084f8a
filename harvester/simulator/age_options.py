"""How campaigns age: how many are sent a day, and how long people take to open, click and bounce."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeOptions:
    """The age of a world's campaigns; off by default: then all campaigns were sent long ago and nobody acts any more.

    Days are counted from `campaigns.SENT_MS`, the moment when campaign 0 was sent, and may have fractions.

    Attributes:
        day: the present at the start; None for a world that does not age.
        day_s: after so many seconds of the server's clock a whole day has passed at once; None for a present that
            only `Zoho.advance_to` moves.
        campaigns_per_day: campaign i is sent on day i / campaigns_per_day; > 0.
        open_mean_days: how long after the sending people open on average, exponentially spread; > 0.
        open_max_days: the longest delay of those who are not late.
        late_share: share of those who open that do so between `open_max_days` and `late_max_days`, 0..1.
        late_max_days: at this age of a campaign its sets are what they are without ageing, and stand still.
        bounce_max_days: the latest bounce.
        restless_share: share of contacts whose status changes once while they stay in their sets, 0..1; no counter
            tells of it.
    """

    day: float | None = None
    day_s: float | None = None
    campaigns_per_day: float = 1.0
    open_mean_days: float = 1.0
    open_max_days: float = 7.0
    late_share: float = 0.02
    late_max_days: float = 60.0
    bounce_max_days: float = 0.25
    restless_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse ages that no world could have.

        Raises:
            ValueError: a number that must be positive or finite is not, or a delay is longer than the longest.
        """
        positive = {
            "day_s": 1.0 if self.day_s is None else self.day_s,
            "campaigns_per_day": self.campaigns_per_day,
            "open_mean_days": self.open_mean_days,
        }
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise ValueError(f"age.{name}: expected a number above 0, got {value}")
        if self.day is not None and not math.isfinite(self.day):
            raise ValueError(f"age.day: expected a number of days, got {self.day}")
        if self.day is None and self.day_s is not None:
            raise ValueError("age.day_s: no day can pass in a world that does not age; set age.day as well")
        for name, days in {"open_max_days": self.open_max_days, "bounce_max_days": self.bounce_max_days}.items():
            if not 0 <= days <= self.late_max_days:
                raise ValueError(f"age.{name}: expected 0 to late_max_days ({self.late_max_days}), got {days}")
