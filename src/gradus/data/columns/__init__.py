"""What the columns of a table are: numbers, flags, names, dates, times of day, or free text."""

from gradus.data.columns.column import Column as Column
from gradus.data.columns.column import Form as Form
from gradus.data.columns.names import among as among
from gradus.data.columns.recognise import recognise as recognise
from gradus.data.columns.recognise import recognise_as as recognise_as
from gradus.data.columns.useless import useless as useless
