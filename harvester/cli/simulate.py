"""`harvester simulate`: a Zoho Campaigns on loopback, to practise on and to test against."""

import asyncio
from enum import StrEnum
from typing import Any, TypeVar

import click

from harvester.errors import ConfigError
from harvester.simulator.age_options import AgeOptions
from harvester.simulator.options import (
    ALL_FAULTS,
    AnswerOptions,
    CountedAt,
    Counting,
    EchoStyle,
    FaultOptions,
    FieldNames,
    LockedAnswer,
    LocksAt,
    NetworkOptions,
    Options,
    PastEnd,
    QuotaOptions,
    TokenOptions,
    WorldOptions,
)
from harvester.simulator.server import serve_forever
from harvester.simulator.set_options import (
    CounterOptions,
    PagingFault,
    PagingOptions,
    QuirkOptions,
    RepeatOptions,
    ShiftOptions,
)

Choice = TypeVar("Choice", bound=StrEnum)

LOOPBACK = "127.0.0.1"
"""The simulator knows any password: it is for this machine alone."""


def _one_of(choices: type[Choice], default: Choice) -> dict[str, Any]:
    return {"type": click.Choice([choice.value for choice in choices]), "default": default.value, "show_default": True}


@click.command(name="simulate", context_settings={"show_default": True})
@click.option("--port", type=click.IntRange(0, 65535), default=8099, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--seed", type=int, default=1, help="Of everything that is drawn.")
@click.option("--time-scale", type=float, default=1.0, help="Seconds of the server's clock in a real one.")
@click.option("--campaigns", type=int, default=20, help="Campaigns, those of days to come included.")
@click.option("--recipients", type=int, default=None, help="Rows sent per campaign; left out: most small, some large.")
@click.option("--recipients-max", type=int, default=50_000, help="The largest campaign where --recipients is left out.")
@click.option("--drafts", type=float, default=0.0, help="Share of campaigns never sent.")
@click.option("--ab", type=float, default=0.0, help="Share of A/B campaigns.")
@click.option("--tiny-ab", type=float, default=0.0, help="Share of A/B campaigns with fewer than 4 recipients.")
@click.option("--forbidden", type=float, default=0.0, help="Share of campaigns without privilege.")
@click.option("--day", type=float, default=None, help="The present day of a world that ages; left out: it does not.")
@click.option("--day-s", type=float, default=None, help="Seconds of the server's clock after which a day has passed.")
@click.option("--campaigns-per-day", type=float, default=1.0, help="Campaigns sent a day.")
@click.option("--restless", type=float, default=0.0, help="Share of contacts whose status changes once.")
@click.option("--calls", type=int, default=500, help="Calls permitted per period.")
@click.option("--period-s", type=float, default=300.0, help="The period, on the server's clock.")
@click.option("--lock-s", type=float, default=1800.0, help="The lock, on the server's clock.")
@click.option("--counting", **_one_of(Counting, Counting.FIXED), help="How calls are counted.")
@click.option("--locks-at", **_one_of(LocksAt, LocksAt.OVER), help="Whether the 500th or the 501st call locks.")
@click.option("--extend-lock", is_flag=True, help="A call into the lock starts it anew.")
@click.option("--locked-answer", **_one_of(LockedAnswer, LockedAnswer.THROTTLE), help="What a locked caller reads.")
@click.option("--past-end", **_one_of(PastEnd, PastEnd.NO_CONTACTS), help="What follows the last row.")
@click.option("--echo", **_one_of(EchoStyle, EchoStyle.OBJECT), help="How a page repeats its request.")
@click.option("--names", **_one_of(FieldNames, FieldNames.MIXED), help="Which field names rows use.")
@click.option("--clamp-rows", type=int, default=None, help="The longest page given.")
@click.option("--silent-clamp", is_flag=True, help="The echo repeats what was asked, not the clamp.")
@click.option("--latency-s", type=float, default=0.0, help="Least time of an answer, in real seconds.")
@click.option("--jitter-s", type=float, default=0.0, help="Up to this much more.")
@click.option("--counted-at", **_one_of(CountedAt, CountedAt.ARRIVAL), help="When within its latency a call counts.")
@click.option("--late", type=float, default=0.0, help="Share of calls that arrive after the client gave up.")
@click.option("--faults", type=float, default=0.0, help="Share of answers that are spoiled.")
@click.option(
    "--fault",
    "fault_kinds",
    multiple=True,
    type=click.Choice([fault.value for fault in ALL_FAULTS]),
    help="Kinds; may be repeated; left out: those up to drip.",
)
@click.option("--shifting", type=float, default=0.0, help="Share of sets that move while they are read.")
@click.option("--repeats", type=float, default=0.0, help="Share of sets that hold contacts twice.")
@click.option(
    "--paging-fault",
    "paging_faults",
    multiple=True,
    type=click.Choice([fault.value for fault in PagingFault]),
    help="How sets page wrongly; may be repeated.",
)
@click.option("--odd", type=float, default=0.0, help="Share of contacts with odd values.")
@click.option("--damaged", type=float, default=0.0, help="Share of contacts with rows that are no JSON.")
@click.option("--miscounted", type=float, default=0.0, help="Share of campaigns with wrong counters.")
@click.option("--token-life-s", type=float, default=3600.0, help="Life of an access token, on the server's clock.")
def command(**flags: Any) -> None:
    """Serve a Zoho Campaigns to practise on, at http://127.0.0.1:PORT, until interrupted.

    Any client id, secret and refresh token are taken, except bad-client, bad-secret and bad-token. In the
    configuration set base_url and accounts_url of the account to the address that is printed. GET /_referee tells
    what the server saw: calls per window, lockouts, calls into a lock, wasted calls.
    """
    port = flags.pop("port")
    try:
        options = _options(flags)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        asyncio.run(serve_forever(options, LOOPBACK, port, lambda url: click.echo(f"listening on {url}")))
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
    except OSError as error:
        raise ConfigError(f"Port {port}: {error.strerror}.", "Choose another one with --port.") from None


def _options(flags: dict[str, Any]) -> Options:
    """Return the simulator's options as the flags have them."""
    return Options(
        seed=flags["seed"],
        time_scale=flags["time_scale"],
        world=WorldOptions(
            campaigns=flags["campaigns"],
            recipients=flags["recipients"],
            recipients_max=flags["recipients_max"],
            drafts_share=flags["drafts"],
            ab_share=flags["ab"],
            tiny_ab_share=flags["tiny_ab"],
            forbidden_share=flags["forbidden"],
        ),
        quota=QuotaOptions(
            calls=flags["calls"],
            period_s=flags["period_s"],
            lock_s=flags["lock_s"],
            counting=Counting(flags["counting"]),
            locks_at=LocksAt(flags["locks_at"]),
            is_lock_extended=flags["extend_lock"],
        ),
        answers=AnswerOptions(
            locked=LockedAnswer(flags["locked_answer"]),
            past_end=PastEnd(flags["past_end"]),
            echo=EchoStyle(flags["echo"]),
            names=FieldNames(flags["names"]),
            clamp_rows=flags["clamp_rows"],
            is_clamp_echoed=not flags["silent_clamp"],
        ),
        network=NetworkOptions(
            latency_s=flags["latency_s"],
            jitter_s=flags["jitter_s"],
            counted_at=CountedAt(flags["counted_at"]),
            late_share=flags["late"],
        ),
        faults=_faults(flags["faults"], flags["fault_kinds"]),
        tokens=TokenOptions(life_s=flags["token_life_s"]),
        age=AgeOptions(
            day=flags["day"],
            day_s=flags["day_s"],
            campaigns_per_day=flags["campaigns_per_day"],
            restless_share=flags["restless"],
        ),
        shifts=ShiftOptions(share=flags["shifting"]),
        repeats=RepeatOptions(share=flags["repeats"]),
        paging=PagingOptions(kinds=tuple(PagingFault(kind) for kind in flags["paging_faults"])),
        quirks=QuirkOptions(odd_share=flags["odd"], damaged_share=flags["damaged"]),
        counters=CounterOptions(share=flags["miscounted"]),
    )


def _faults(share: float, names: tuple[str, ...]) -> FaultOptions:
    faults = {fault.value: fault for fault in ALL_FAULTS}
    kinds = tuple(faults[name] for name in names)
    return FaultOptions(share=share, kinds=kinds) if kinds else FaultOptions(share=share)
