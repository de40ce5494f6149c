"""Files of a user's, written as they stand."""

import pytest

from gradus.data.reading import read_source
from gradus.errors import InputError


@pytest.fixture
def read(tmp_path):
    """Reads a file with this content; the name says how."""

    def reading(content, name="own.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return read_source(path)

    return reading


@pytest.fixture
def refusal(read, tmp_path):
    """What is said of a file that cannot be read: one line, without the path of its folder."""

    def refused(content, name="own.csv", encoding="utf-8"):
        with pytest.raises(InputError) as found:
            read(content, name, encoding)
        said = str(found.value).replace(f"{tmp_path}/", "")
        assert "\n" not in said
        assert len(said) < 400
        return said

    return refused
