"""Cells of a CSV file that a spreadsheet would execute, made harmless (pure).

A contact chooses its own name, and a spreadsheet takes a cell that begins with `=` for a formula, whatever the file's
writer meant. An apostrophe before it says "text" to all of them.

Source: OWASP, "CSV Injection": equals, plus, minus, at sign, tab, carriage return and line feed, and the full-width
forms of the first four.
"""

BEGINS_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def defused(cell: str) -> str:
    """Return a cell of text as it can be opened anywhere."""
    return f"'{cell}" if cell and cell[0] in BEGINS_FORMULA else cell
