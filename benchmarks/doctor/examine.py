"""What the doctor says of every run, a line each: it goes on where it was broken off.

All times, also that which the doctor is allowed, are of the processor: others use the machine too.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradus
from benchmarks.doctor.cases import cases
from benchmarks.doctor.follow import followed
from benchmarks.doctor.healthy import odd, plain
from benchmarks.doctor.opponents import by_curves
from benchmarks.doctor.plant import FAULTS
from benchmarks.doctor.tasks import Half
from benchmarks.doctor.trials import Trial, train
from benchmarks.doctor.truth import counted, figures, helps
from gradus.diagnosis.case import case_of
from gradus.diagnosis.clock import keep_by
from gradus.diagnosis.examination import time_for
from gradus.errors import InputError

FOLDER = Path("build") / "doctor"

FIRST = 1_000
"""The seed of a faulty run that is examined: none of those by which it was found to be one."""


@dataclass(frozen=True)
class Patient:
    """A run that is examined.

    Attributes:
        name: of it.
        group: fault, pair, plain, odd or case.
        task: by which figures are drawn again.
        trial: what is trained.
        seed: of the run.
        right: causes that are right, for each fault that counts.
    """

    name: str
    group: str
    task: str
    trial: Trial
    seed: int
    right: tuple[tuple[str, ...], ...] = ()


def patients(half: Half, shares: Mapping[str, float]) -> Iterator[Patient]:
    """All of a half of the tasks, or of each group a share."""
    for plant, record in counted():
        kept = record.get("each", [True])
        right = [FAULTS[name].causes for name, _ in plant.faults]
        group = "fault" if len(plant.faults) == 1 else "pair"
        if plant.half == half and _drawn(plant.number, shares[group]):
            of = tuple(causes for causes, counts in zip(right, kept, strict=True) if counts)
            yield Patient(plant.name, group, plant.task, plant.trial, FIRST, of)
    for group, runs in (("odd", odd()), ("plain", plain())):
        for number, sound in enumerate(run for run in runs if run.half == half):
            if _drawn(number, shares[group]):
                yield Patient(sound.name, group, sound.task, sound.trial, sound.seed)
    if half == "held":  # the cases are looked at with the first half that was held
        for number, case in enumerate(cases()):
            if _drawn(number, shares["case"]) and case_counts(case.faulty, case.mended):
                yield Patient(
                    case.name, "case", case.name, case.faulty, FIRST, (case.causes,)
                )  # fmt: skip


def case_counts(faulty: Trial, mended: Trial) -> bool:
    """Whether what the answer says helps."""
    return bool(helps(figures(faulty), figures(mended))["counts"])


def _drawn(number: int, share: float) -> bool:
    """Every so many, spread evenly."""
    return int((number + 1) * share) > int(number * share)


def examined(patient: Patient, *, follow: bool = True) -> dict[str, Any]:
    """What the doctor says of a run, and what comes of doing so."""
    started = time.process_time()
    run = train(patient.trial, patient.seed)
    took = time.process_time() - started
    record: dict[str, Any] = {
        "name": patient.name, "group": patient.group, "task": patient.task,
        "right": patient.right, "status": run.status, "run_seconds": round(took, 3),
        "curves": by_curves(run),
    }  # fmt: skip
    started = time.process_time()
    try:
        found = gradus.diagnose(run, budget=time_for(case_of(run), took))
    except InputError as error:
        return record | {"refused": str(error), "findings": [], "seconds": 0.0}
    record["seconds"] = round(time.process_time() - started, 3)
    record["findings"] = [
        {
            "cause": each.cause, "state": each.state, "gain": round(each.gain, 4),
            "call": each.remedy.call,
        }
        for each in found.findings
    ]  # fmt: skip
    record["notes"] = list(found.notes)
    if follow and found.confirmed:
        first = found.confirmed[0]
        after = followed(patient.trial, first.cause, first.remedy.call)
        if after is None:
            record["advice"] = None
        else:
            try:
                record["advice"] = helps(figures(patient.trial), figures(after))
            except (InputError, StopIteration) as error:
                record["advice"] = {"counts": False, "refused": str(error)}
    return record


def records(half: Half) -> list[dict[str, Any]]:
    """What is known of a half."""
    path = FOLDER / f"{half}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(half: Half, shares: Mapping[str, float]) -> None:
    """Examine all of a half that is not yet known."""
    keep_by(time.process_time)
    FOLDER.mkdir(parents=True, exist_ok=True)
    known = {record["name"] for record in records(half)}
    for patient in patients(half, shares):
        if patient.name in known:
            continue
        record = examined(patient)
        with (FOLDER / f"{half}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        told = [f"{each['cause']} ({each['state']})" for each in record["findings"]]
        print(
            f"{_verdict(record)} {patient.name} [{record['status']}] {record['seconds']:.1f} s: "
            f"{', '.join(told) or record.get('refused', 'nothing')}",
            file=sys.stderr,
            flush=True,
        )


def _verdict(record: dict[str, Any]) -> str:
    """As one sees it passing."""
    causes = [each["cause"] for each in record["findings"]]
    if not record["right"]:
        alarms = any(each["state"] == "confirmed" for each in record["findings"])
        return "ALARM " if alarms else "ok    "
    right = {cause for causes in record["right"] for cause in causes}
    if causes and causes[0] in right:
        return "right "
    return "second" if right & set(causes[:2]) else "WRONG "
