"""Which options of a sweep mattered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from gradus.sweep.compare import places
from gradus.sweep.effects import Factor, effects, scores
from gradus.sweep.groups import OWNED, Compared, Grouped, levels, mean_by, shown, varied
from gradus.sweep.measures import PRUNED, check_measure, measure_of, statuses


def importance(sweep: Compared, measure: str | None = None) -> pa.Table:
    r"""How much of what differs between configurations each option accounts for.

    Runs are ranked within each seed: complete ones by the measure, then pruned ones, the later cut
    before the earlier; those that diverged or stopped share the last place. What is explained is
    the variance of the mean places of configurations, by $\omega^2$, which takes off what noise
    would explain. An option that cannot be told from noise has no share: with noise alone, one
    sweep in fifty names any. `gradus.sweep.effects.effects` says how.

    Runs that do not take an option (the momentum of Adam) are left out where it is judged.

    Args:
        sweep: what is compared.
        measure: as in `gradus.sweep.compare.ranking`.

    Returns:
        The columns option, levels, configurations, explained (missing where the option cannot be
        told from noise), p (the chance of so much without any effect, corrected for the number of
        options; missing where there are too few configurations to say) and best (the value with
        the best mean place, as text, where the option is told from noise); the most important
        option first.

    Raises:
        InputError: no run has the measure.

    Example:
        >>> import pyarrow as pa
        >>> from types import SimpleNamespace
        >>> rates, momenta = [0.001, 0.01, 0.1, 1.0] * 6, [0.0] * 12 + [0.9] * 12
        >>> loss = [rate + 0.001 * (7 * i % 5) for i, rate in enumerate(rates)]
        >>> runs = pa.table({
        ...     "run": list(map(str, range(24))), "status": ["finished"] * 24, "lr": rates,
        ...     "momentum": momenta, "seed": [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2] * 2,
        ...     "test_loss": loss,
        ... })
        >>> told = importance(SimpleNamespace(name="rates", runs=runs)).to_pylist()
        >>> [(row["option"], row["explained"] is not None, row["best"]) for row in told]
        [('lr', True, '0.001'), ('momentum', False, None)]
    """
    runs = sweep.runs
    measure = measure_of(runs) if measure is None else measure
    check_measure(runs, measure)
    options = varied(runs)
    grouped, place = Grouped(runs, tuple(options)), places(runs, measure)
    factors = {name: _factor(grouped, name) for name in options}
    found = effects(
        list(factors.values()),
        scores(grouped.seeds, grouped.codes, place),
        independent=PRUNED not in statuses(runs),
    )
    rows: list[dict[str, Any]] = []
    for effect in found:
        named, codes = levels(runs, effect.name)
        mean = mean_by(codes, place, len(named))
        if effect.name in OWNED and named[-1] is None:
            mean[-1] = np.nan
        rows.append(
            {
                "option": effect.name,
                "levels": int(np.isfinite(mean).sum()),
                "configurations": int((~np.isnan(factors[effect.name].values)).sum()),
                "explained": effect.share,
                "p": effect.p,
                "best": None if effect.share is None else shown(named[int(np.nanargmin(mean))]),
            }
        )
    return pa.Table.from_pylist(rows, schema=pa.schema(list(IMPORTANCE.items())))


IMPORTANCE: dict[str, pa.DataType] = {
    "option": pa.string(),
    "levels": pa.int64(),
    "configurations": pa.int64(),
    "explained": pa.float64(),
    "p": pa.float64(),
    "best": pa.string(),
}


def _factor(grouped: Grouped, option: str) -> Factor:
    """An option as it varies over configurations."""
    named, codes = levels(grouped.runs, option)
    codes = codes[grouped.first]
    values = codes.astype(float)
    if option in OWNED and named[-1] is None:
        values[codes == len(named) - 1] = np.nan
    known = [value for value in named if value is not None]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)
    ordered = numeric and (None not in named or option in OWNED)
    return Factor(option, values, ordered)
