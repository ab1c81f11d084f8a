import io
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from harvester import events
from harvester.report.attention import ATTENTION_MAX
from harvester.report.frame import frame
from harvester.report.log import JsonLog
from harvester.report.tally import RECIPIENTS_ENDPOINT, Tally

KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
KINDS.remove(events.Event)

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=20),
    st.sampled_from(
        ["\x1b[31mred\x1b[0m", "[bold]markup[/]", "[/nothing]", "a\r\nb", "\x9b2J", "2026-11-22T14:05:00Z"]
    ),
)
BY_TYPE: dict[object, st.SearchStrategy[object]] = {
    int: st.integers(0, 10**12),
    float: st.floats(0, 1e6),
    str: TEXTS,
    int | None: st.none() | st.integers(0, 10**12),
}
BY_NAME: dict[str, st.SearchStrategy[object]] = {
    "account": st.sampled_from(["acme", "beta", "[red]", "\x1b[2J", "", "d", "e", "f"]),
    "endpoint": st.sampled_from([RECIPIENTS_ENDPOINT, "recentcampaigns"]),
    "action": st.sampled_from(["sentcontacts", "openedcontacts"]),
    "jobs": st.integers(0, 1000),
    "campaign_key": st.sampled_from(["key-1", "key-2", "3z" + "a" * 64, "\x1b]0;x\x07"]),
}


def some(kind: type[events.Event]) -> st.SearchStrategy[events.Event]:
    arguments = {field.name: BY_NAME.get(field.name, BY_TYPE[field.type]) for field in fields(kind)}
    return st.builds(kind, **arguments)


SEQUENCES = st.lists(st.tuples(st.one_of([some(kind) for kind in KINDS]), st.floats(0, 1e5)), max_size=30)


def folded(sequence: list[tuple[events.Event, float]]) -> tuple[Tally, float]:
    tally, now_s = Tally(calls=500, period_s=300.0), 1000.0
    for event, pause_s in sequence:
        now_s += pause_s
        tally.fold(event, now_s)
    return tally, now_s


@given(SEQUENCES)
def test_the_figures_hold_for_any_order_of_events(sequence: list[tuple[events.Event, float]]) -> None:
    """No order of events gives a negative number, an estimate below 0 or an unbounded list."""
    tally, now_s = folded(sequence)

    eta_s = tally.eta_s(now_s)
    assert eta_s is None or eta_s >= 0
    assert len(tally.attention) <= ATTENTION_MAX
    for account in tally.accounts:
        assert account.counts.open >= 0
        assert account.held_s(now_s) >= 0
        assert (account.elapsed_s(now_s) or 0.0) >= 0


@given(SEQUENCES, st.integers(20, 220))
def test_S_12_any_order_of_events_draws_within_the_width_and_steers_no_terminal(
    sequence: list[tuple[events.Event, float]], width: int
) -> None:
    """The picture fits the terminal, raises nothing, and holds no control character but the newlines between lines."""
    tally, now_s = folded(sequence)
    out = io.StringIO()

    Console(file=out, width=width, force_terminal=True, color_system=None).print(frame(tally, now_s, width))

    drawn = out.getvalue().splitlines()
    assert all(line.isprintable() for line in drawn)
    assert max(map(cell_len, drawn)) <= width


@given(SEQUENCES)
def test_any_event_is_one_log_line(sequence: list[tuple[events.Event, float]]) -> None:
    """Whatever an event holds, it is written as one printable line and nothing is raised."""
    out = io.StringIO()
    log = JsonLog(out, lambda: 0.0, is_verbose=True)

    for event, _ in sequence:
        log(event)

    lines = out.getvalue().splitlines()
    assert len(lines) == len(sequence)
    assert all(line.isprintable() for line in lines)
