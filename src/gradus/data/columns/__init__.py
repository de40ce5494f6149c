"""What the columns of a table are: numbers, flags, names, dates, times of day, or free text."""

from gradus.data.columns.column import Column as Column
from gradus.data.columns.column import Form as Form
