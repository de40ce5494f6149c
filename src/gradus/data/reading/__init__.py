"""How a file of the user's becomes a table of Arrow."""

from gradus.data.reading.files import KINDS as KINDS
from gradus.data.reading.files import SUFFIXES as SUFFIXES
from gradus.data.reading.files import is_separated as is_separated
from gradus.data.reading.files import read_source as read_source
from gradus.data.reading.files import reading_ahead as reading_ahead
from gradus.data.reading.files import stream as stream
from gradus.data.reading.files import written_as as written_as
from gradus.data.reading.notation import AS_GUESSED as AS_GUESSED
from gradus.data.reading.notation import Notation as Notation
from gradus.data.reading.source import Source as Source
