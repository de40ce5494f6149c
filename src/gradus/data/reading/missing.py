"""Which words mean that no value stands there."""

from __future__ import annotations

MISSING = (
    "",
    # What pandas and pyarrow take for missing when they read CSV.
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
    # Others of the same: NaT is the missing date of NumPy and pandas, the rest other spellings.
    "NAN",
    "Nan",
    "NaT",
    "Null",
    "N.A.",
    "n.a.",
    # What people write: the UCI repository "?", SAS and Stata ".", spreadsheets a dash.
    "?",
    "-",
    "--",
    "–",
    "—",
    ".",
    "..",
    # What a spreadsheet writes where a formula failed.
    "#DIV/0!",
    "#NAME?",
    "#NULL!",
    "#NUM!",
    "#REF!",
    "#VALUE!",
)
"""Words of a text file, its stray spaces removed, that stand for no value, in quotation marks too.

Words that are values as often as not are none of them: ``none``, ``unknown``, ``na``, 0, -1, 999.
"""

MISSING_WITH_SPACE = (*MISSING, " ", *(f" {word}" for word in MISSING if word))
"""The same with a space before them, as they stand in files that write ``x, NA, y``."""
