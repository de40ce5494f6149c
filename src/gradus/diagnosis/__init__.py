"""Why: what makes a run diverge, crawl or learn nothing, found by experiments.

The way of a diagnosis, a file an idea:

``case``
    what is examined: data, model, loss and method, and the record of the run if there is one. It
    makes the job of the run again, for any seed and with any change.
``replay``
    the run once more, exactly, with what is seen of it at a dozen steps and before the event.
``evidence``
    the record, the replay and what is measured on them when it is first asked for. The tests of
    causes read it.
``causes/``
    a module a cause (or a family): the value ``CAUSE``, or the tuple ``CAUSES``, of
    :class:`~gradus.diagnosis.cause.Cause`. A new module is found by itself.
``fork``
    an intervention: the same training with one thing changed, in pairs over seeds, and the paired
    difference with its standard error.
``examination``
    in which order causes are tried, within which time; what is confirmed, possible, or ruled out.
``findings``
    what comes out of it, as values.
``call``
    :func:`gradus.diagnose`.

What others may rely on: ``gradus.diagnose(run_or_folder, budget=..)`` and
``gradus.diagnose(data=.., model=.., loss=.., method=.., **options)``, whose words are those of
:func:`gradus.train`; of the :class:`~gradus.diagnosis.findings.Diagnosis` that it gives back
``findings``, ``confirmed``, ``possible``, ``verdict``, ``healthy``, ``as_dict()``; and of a
:class:`~gradus.diagnosis.findings.Finding` ``cause``, ``state``, ``sentence``, ``figures``,
``experiment``, ``remedy``, ``gain`` and ``page``. A cause is confirmed by an experiment, or by
what the data are.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
