"""`harvester simulate`: what its flags make of the simulator."""

from harvester.cli.simulate import _options, command
from harvester.simulator.age_options import AgeOptions
from harvester.simulator.options import FaultKind, Options, WireFault
from harvester.simulator.set_options import PagingFault


def options_of(*flags: str) -> Options:
    params = dict(command.make_context("simulate", list(flags)).params)
    del params["port"]
    return _options(params)


def test_without_flags_the_simulator_is_as_it_is_made() -> None:
    """The defaults stand once: each flag's is that of its option."""
    assert options_of() == Options()


def test_sets_misbehave_where_flags_say_so() -> None:
    """Shares and kinds reach the options of the sets."""
    shares = ("--shifting", "0.1", "--repeats", "0.2", "--odd", "0.3", "--damaged", "0.4", "--miscounted", "0.5")
    options = options_of(*shares, "--paging-fault", "endless", "--paging-fault", "oversize")

    assert (options.shifts.share, options.repeats.share, options.counters.share) == (0.1, 0.2, 0.5)
    assert (options.quirks.odd_share, options.quirks.damaged_share) == (0.3, 0.4)
    assert options.paging.kinds == (PagingFault.ENDLESS, PagingFault.OVERSIZE)


def test_faults_of_answers_and_of_the_wire_are_named_alike() -> None:
    """Both have one flag, and the order is that of the command line."""
    options = options_of("--faults", "0.1", "--fault", "gzip-cut", "--fault", "html")

    assert options.faults.share == 0.1
    assert options.faults.kinds == (WireFault.GZIP_CUT, FaultKind.HTML)


def test_the_world_ages_where_flags_say_so() -> None:
    """Day, its length, campaigns a day and restless contacts reach the options of the age."""
    options = options_of("--day", "2.5", "--day-s", "60", "--campaigns-per-day", "6.5", "--restless", "0.1")

    assert options.age == AgeOptions(day=2.5, day_s=60.0, campaigns_per_day=6.5, restless_share=0.1)
