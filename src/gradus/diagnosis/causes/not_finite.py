"""A number is not finite that is finite in exact arithmetic: it is too large for float32."""

from __future__ import annotations

from gradus.diagnosis.cause import Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.fork import Change
from gradus.diagnosis.origin import origin_of


def _suspect(evidence: Evidence) -> Suspicion | None:
    if evidence.status != "diverged" or evidence.case.spec.dtype != "float32":
        return None
    found = origin_of(evidence.replay)
    if found is None:
        return None
    change = Change("float64 in place of float32", {"dtype": "float64"})
    sentence = (
        f"A number is lost: {found}. A formula that is right on paper leaves the range of the "
        "numbers; torch's own functions (log_softmax, cross_entropy, logsumexp) do not."
    )
    return Suspicion(sentence, (), [change], 0.75)


CAUSE = Cause("not finite", 25, "docs/ideas/losses.md", _suspect)
