r"""SQL that reads our files as tables (pure).

Paths count from the output folder, which is the folder that the process is in: the names of the folders above, which
may look like `key=value` too, then play no part, and each statement is as short as it can be.

DuckDB refuses a file with a lone surrogate, half of an emoji that somebody cut in two: UTF-8 has no such character.
Then files are read with care: line by line as text, in which U+FFFD takes the place of every lone surrogate before the
line is taken for JSON. This takes about three times as long, so it is the second try.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harvester.warehouse.columns import Columns, ColumnType

LINE_BYTES_MAX = 16 * 1024 * 1024
"""The longest line that is read: a record is about a kilobyte, and DuckDB holds several of this size in memory."""

RECORDS = ("account", "dt", "action")
LISTINGS = ("account", "dt")
"""What the folders of a kind of file say: DuckDB opens no file whose folder a condition of a query rules out."""

_FOLDER_TYPES = {"account": ColumnType.TEXT, "dt": ColumnType.DAY, "action": ColumnType.TEXT}

_NO_SIGN_OF_JSON = "\\x01"
"""JSON text holds no control characters: no line is cut at one, and it can mark a place within a line."""

_PAIR = r"\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}"
_LONE = r"\\ud[89a-f][0-9a-f]{2}"
"""What begins with a backslash and is no lone surrogate, and then what is one; our writers write lower-case digits."""


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files that are one table.

    Attributes:
        paths: of the files.
        columns: of their lines; a column that a line has not is null.
        folders: what the names of their folders say, of `RECORDS` or `LISTINGS`.
    """

    paths: Sequence[str]
    columns: Columns
    folders: tuple[str, ...] = RECORDS

    @property
    def names(self) -> list[str]:
        """The columns of the table: those of the lines, and the date."""
        return [*self.columns, "dt"]


def quoted(text: str) -> str:
    """Return text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def name(text: str) -> str:
    """Return text as a name in SQL."""
    return '"' + text.replace('"', '""') + '"'


def listed(paths: Iterable[str]) -> str:
    """Return paths as a list of SQL."""
    return f"[{', '.join(map(quoted, paths))}]"


def select(files: FileSet, *, has_care: bool) -> str:
    """Return the SELECT that yields the rows of files; of none, no rows in the same columns."""
    if not files.paths:
        nothing = (f"CAST(NULL AS {kind}) AS {name(column)}" for column, kind in (*files.columns.items(), _DT))
        return f"SELECT {', '.join(nothing)} WHERE false"
    if has_care:
        columns = ", ".join(_column(column, files.folders) for column in files.names)
        return f"SELECT {columns} FROM ({lines(files, mended('line'))})"
    types = ", ".join(f"{name(column)}: {quoted(kind)}" for column, kind in files.columns.items())
    return (
        f"SELECT {', '.join(map(name, files.names))} FROM read_json({listed(files.paths)},"
        f" format = 'newline_delimited', columns = {{{types}}}, maximum_object_size = {LINE_BYTES_MAX},"
        f" {_folders(files)})"
    )


def lines(files: FileSet, text: str) -> str:
    """Return the SELECT that yields lines as they stand, and as a record of typed columns; see `select` for columns.

    Args:
        files: which.
        text: the SQL that makes JSON of `line`.
    """
    types = ", ".join(f"{_json_text(column)}: {_structure(kind)}" for column, kind in files.columns.items())
    return (
        f"SELECT line, json_transform({text}, {quoted(f'{{{types}}}')}) AS record, {', '.join(files.folders)}"
        f" FROM read_csv({listed(files.paths)}, columns = {{'line': 'VARCHAR'}}, header = false, auto_detect = false,"
        f" delim = '{chr(1)}', quote = '', escape = '', new_line = '\\n', max_line_size = {LINE_BYTES_MAX},"
        f" {_folders(files)})"
    )


def mended(text: str) -> str:
    r"""Return the SQL for JSON text with U+FFFD in the place of each lone surrogate.

    Regular expressions here cannot look ahead. So first every pair and every escaped backslash is followed by a mark,
    and every lone surrogate is replaced by one; then the marks that follow go, and those that are left are the places.
    """
    marked = f"regexp_replace({text}, '({_PAIR})|{_LONE}', '\\1{_MARK}', 'g')"
    unmarked = f"regexp_replace({marked}, '({_PAIR}){_NO_SIGN_OF_JSON}', '\\1', 'g')"
    return f"CASE WHEN contains({text}, '\\ud') THEN replace({unmarked}, '{_MARK}', '\\ufffd') ELSE {text} END"


_DT = ("dt", ColumnType.DAY)
_MARK = chr(1)


def _column(column: str, folders: Sequence[str]) -> str:
    return name(column) if column in folders else f"record.{name(column)} AS {name(column)}"


def _folders(files: FileSet) -> str:
    types = ", ".join(f"{folder}: {quoted(_FOLDER_TYPES[folder])}" for folder in files.folders)
    return f"hive_partitioning = true, hive_types_autocast = false, hive_types = {{{types}}}"


def _json_text(text: str) -> str:
    return f'"{text}"'


def _structure(kind: ColumnType) -> str:
    """Return a type as `json_transform` is told of it."""
    return '["VARCHAR"]' if kind is ColumnType.TEXTS else f'"{kind}"'
