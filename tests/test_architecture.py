"""The house as docs/architecture.md draws it: which room may know of which, and who alone knows a library.

Every import counts: one inside a function, and one for the type checker only, tells of the same knowledge.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "harvester"
LINES_MAX = 400

GROUND = frozenset(
    {
        *("__init__", "model", "snapshot", "listing", "leases", "flaws", "findings", "errors", "events", "clock"),
        *("history", "json_schema", "publication"),
    }
)
"""What everybody may know; the package itself holds the version."""

CONFIGURATION = frozenset({"config", "settings", "setting_values", "publish_settings", "campaign_keys"})
ROOMS = frozenset({"zoho", "store", "engine", "report", "cloud", "warehouse"})

MAY_KNOW: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(GROUND, GROUND),
    **dict.fromkeys(CONFIGURATION, GROUND | CONFIGURATION),
    **{room: GROUND | {room} for room in ROOMS},
    "simulator": frozenset({"simulator"}),
    "operations": GROUND | CONFIGURATION | ROOMS | {"operations"},
    "cli": GROUND | CONFIGURATION | ROOMS | {"operations", "cli", "simulator"},
    "__main__": frozenset({"cli"}),
}
"""A room, or a module that stands by itself, to those that it may import."""

KNOWS_ALONE: Mapping[str, tuple[str, ...]] = {
    "aiohttp": ("zoho.api", "simulator"),
    "aiolimiter": ("engine.budget",),
    "backports": ("store.partitions", "store.reading"),
    "click": ("cli",),
    "defusedxml": ("zoho",),
    "duckdb": ("warehouse.engine", "warehouse.query"),
    "isal": ("store.partitions",),
    "obstore": ("cloud",),
    "pydantic": ("config", "settings", "setting_values", "publish_settings"),
    "pydantic_core": ("config", "settings"),
    "pydantic_settings": ("config", "settings"),
    "rich": ("report", "cli"),
    "sqlite3": ("store",),
    "structlog": ("report",),
}
"""A library to the rooms and modules that may import it; others speak to them."""

PURE = (
    "flaws",
    "publication",
    "cloud.refusals",
    "findings",
    *(f"engine.{name}" for name in ("diagnosis", "probing")),
    *(f"engine.{name}" for name in ("admission", "framing", "lockout", "outage", "portion", "shares")),
    *(f"engine.{name}" for name in ("differences", "estimate", "forecast", "pricing")),
    "json_schema",
    "listing",
    "store.manifest_schema",
    "report.spreadsheet",
    *(f"warehouse.{name}" for name in ("batches", "columns", "holdings", "views")),
    "warehouse.relations",
    "engine.listing_walk",
    *(f"engine.{name}" for name in ("marks", "paging", "proof", "retry", "schedule", "seen", "suspicion")),
    *(f"zoho.{name}" for name in ("campaign_records", "forgetting", "privacy", "splits")),
    *(f"zoho.{name}" for name in ("campaigns", "codes", "contacts", "envelopes", "redaction", "replies")),
    *(f"zoho.{name}" for name in ("record_schema", "reports", "salvage", "xml_document")),
    *(
        f"simulator.{name}"
        for name in (
            "age_options", "ageing", "campaigns", "counters", "endpoints", "envelopes", "membership", "model",
            "options", "paging", "present", "quirks", "quota", "referee", "refusals", "rows", "set_options", "sets",
            "spoiled_http", "tokens", "wire", "world",
        )
    ),
)  # fmt: skip
IMPURE_LIBRARIES = frozenset({"asyncio", "os", "pathlib", "socket", "subprocess", "threading", "time"})

LONE_TASKS: Mapping[str, str] = {
    "zoho.auth": "a renewal outlives the waiter that began it: the token it asked for counts, and others wait for it",
    "simulator.server": "a call that was sent reaches the counter, although its client went away",
}
"""Modules that start a task outside a TaskGroup, and why they must."""


@dataclass(frozen=True)
class Module:
    """One file of the product; `name` is dotted and without the package's own name."""

    name: str
    path: Path

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def imports(self) -> frozenset[str]:
        """Every dotted name that is imported, wherever in the file it stands."""
        return frozenset(_imports(self.tree))

    @property
    def own_imports(self) -> frozenset[str]:
        """The modules of the product among the imports, named as `Module.name`."""
        return frozenset(_module_name(name) for name in self.imports if name.partition(".")[0] == PACKAGE.name)


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides where it leads"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_name(imported: str) -> str:
    """Return the module that an import leads to: the longest part of the name that is a file."""
    parts = imported.split(".")[1:]
    while parts and not _is_module(PACKAGE.joinpath(*parts)):
        parts.pop()
    return ".".join(parts) or "__init__"


def _is_module(path: Path) -> bool:
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _modules() -> Iterator[Module]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        is_room = parts[-1] == "__init__" and len(parts) > 1
        yield Module(".".join(parts[:-1] if is_room else parts), path)


MODULES = {module.name: module for module in _modules()}
each_module = pytest.mark.parametrize("module", MODULES.values(), ids=lambda module: module.name)


@each_module
def test_imports_point_only_where_the_house_allows(module: Module) -> None:
    """The command line knows everybody; rooms know the ground floor and themselves; the simulator knows nobody."""
    rooms = {name.partition(".")[0] for name in module.own_imports}

    assert rooms - MAY_KNOW[module.room] == set()


@each_module
def test_each_library_is_known_where_it_belongs(module: Module) -> None:
    """To exchange a library is to change one room."""
    libraries = {name.partition(".")[0] for name in module.imports}

    strangers = {
        library
        for library in libraries & KNOWS_ALONE.keys()
        if not any(module.name == place or module.name.startswith(f"{place}.") for place in KNOWS_ALONE[library])
    }
    assert strangers == set()


def test_every_listed_module_exists() -> None:
    """A rule about a module that is gone protects nothing."""
    listed = {*PURE, *LONE_TASKS, *(place for places in KNOWS_ALONE.values() for place in places), *MAY_KNOW}

    assert listed - MODULES.keys() == set()


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_have_no_clock_no_file_and_no_await(name: str) -> None:
    """What decides takes the time and chance as arguments, so that every case can be tried."""
    module = MODULES[name]
    waits = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)

    assert {library.partition(".")[0] for library in module.imports} & IMPURE_LIBRARIES == set()
    assert [node.lineno for node in ast.walk(module.tree) if isinstance(node, waits)] == []
    assert [call.lineno for call in _calls(module.tree) if _name_of(call) in {"open", "now", "today", "utcnow"}] == []


def test_no_two_modules_import_each_other() -> None:
    """Imports form no circle, not even one that only a type checker would walk."""
    graph = {name: module.own_imports - {name} for name, module in MODULES.items()}

    order = list(TopologicalSorter(graph).static_order())  # CycleError names the circle

    assert set(order) == MODULES.keys()


@each_module
def test_modules_are_short_enough_to_read_at_a_sitting(module: Module) -> None:
    """One module, one reason; 400 lines are more than one reason needs."""
    assert len(module.path.read_text(encoding="utf-8").splitlines()) <= LINES_MAX


@each_module
def test_tasks_are_started_within_a_group(module: Module) -> None:
    """A task that nobody waits for loses its error; the exceptions are listed with their reason."""
    lone = [call.lineno for call in _calls(module.tree) if _starts_task(call) and not _is_grouped(call, module.tree)]

    assert bool(lone) == (module.name in LONE_TASKS), lone


@each_module
def test_modules_are_imported_by_name(module: Module) -> None:
    """What is imported by a computed name escapes these tests: the lazy commands alone may be."""
    dynamic = [call.lineno for call in _calls(module.tree) if _name_of(call) in {"import_module", "__import__"}]

    assert not dynamic or module.name == "cli.main"


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name_of(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _starts_task(call: ast.Call) -> bool:
    return _name_of(call) in {"create_task", "ensure_future"}


def _is_grouped(call: ast.Call, tree: ast.AST) -> bool:
    """Tell whether the call stands in the body of the `async with asyncio.TaskGroup()` whose task it starts."""
    return any(
        call in ast.walk(node) and any(_opens_group_of(item, call) for item in node.items)
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncWith)
    )


def _opens_group_of(item: ast.withitem, call: ast.Call) -> bool:
    match item, call.func:
        case (
            ast.withitem(context_expr=ast.Call() as opening, optional_vars=ast.Name(id=group)),
            ast.Attribute(value=ast.Name(id=owner)),
        ):
            return _name_of(opening) == "TaskGroup" and group == owner
    return False
