"""Tables of a few thousand rows that go by in pieces of 100."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

N = 1000


@pytest.fixture(autouse=True)
def in_small_pieces(monkeypatch):
    monkeypatch.setattr("gradus.data.reading.parquet.rows_of_piece", lambda columns: 100)
    monkeypatch.setattr("gradus.data.reading.csv_files.PIECE", 2**13)


@pytest.fixture(scope="session")
def rows():
    """Numbers with gaps, a flag, names with rare ones, a date, and targets of both kinds."""
    random = np.random.default_rng(0)
    a = random.normal(1e6, 3, N)
    gaps = np.where(random.random(N) < 0.1, None, random.exponential(size=N))
    names = random.choice(["red", "blue", "green", "odd"], N, p=[0.5, 0.3, 0.195, 0.005])
    days = np.datetime64("2020-01-01") + np.sort(random.integers(0, 1000, N))
    score = (a - 1e6) / 3 + (names == "red") + random.logistic(size=N)
    return {
        "a": a.tolist(),
        "gaps": gaps.tolist(),
        "sold": random.choice([True, False], N).tolist(),
        "colour": names.tolist(),
        "when": days.astype(object).tolist(),
        "label": np.where(score > 0, "yes", "no").tolist(),
        "size": score.tolist(),
    }


@pytest.fixture
def table(rows, tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table(rows), path, row_group_size=300)
    return path
