"""Tables that are larger than the memory: rows go by, and no list of them is held."""

from gradus.data.streaming.kept import USUAL_CACHE as USUAL_CACHE
from gradus.data.streaming.kept import Cache as Cache
from gradus.data.streaming.table_files import SHARE_OF_MEMORY as SHARE_OF_MEMORY
from gradus.data.streaming.table_files import exceeds_memory as exceeds_memory
from gradus.data.streaming.table_files import holds_tables as holds_tables
