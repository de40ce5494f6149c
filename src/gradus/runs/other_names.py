"""How PyTorch, Keras, scikit-learn and others call options and choices, for "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable

OTHER_NAMES = {
    "method": "optimizer optimiser optim solver algorithm update-rule",
    "lr": "learning-rate learning-rate-init learningrate initial-lr base-lr eta0 eta step-size "
    "stepsize alpha",
    "betas": "beta1 beta2 beta-1 beta-2 adam-beta1 adam-beta2",
    "eps": "epsilon adam-epsilon",
    "weight-decay": "wd weightdecay decay l2-decay",
    "alpha": "rho smoothing-constant",
    "nesterov": "use-nesterov nesterovs-momentum",
    "amsgrad": "use-amsgrad",
    "history": "history-size memory-size maxcor",
    "line-search": "line-search-fn linesearch",
    "max-iterations": "cg-iterations max-cg-iterations",
    "loss": "criterion objective loss-function loss-fn cost cost-function",
    "label-smoothing": "smoothing label-smoothing-factor",
    "class-weight": "class-weights pos-weight scale-pos-weight is-unbalance",
    "weights": "sample-weight sample-weights weight-column weights-column weight-col",
    "delta": "huber-delta huber-slope",
    "quantile": "quantile-alpha tau",
    "penalty": "regularizer regulariser regularization regularisation reg kernel-regularizer",
    "strength": "lambda reg-lambda lambda-l1 lambda-l2 l1-lambda l2-lambda reg-strength "
    "penalty-strength alpha",
    "l1-ratio": "elastic-net-param elasticnet-ratio",
    "epochs": "epoch n-epochs nb-epochs nb-epoch num-epochs num-train-epochs max-epochs max-iter "
    "n-iter iterations num-iterations passes",
    "batch-size": "batch batchsize bs mini-batch mini-batch-size minibatch-size batch-sizes "
    "train-batch-size per-device-train-batch-size",
    "sampling": "shuffle shuffling sampler order",
    "seed": "random-state random-seed manual-seed rng rng-seed torch-seed",
    "validation-fraction": "validation-split validation-size val-split val-size val-fraction "
    "val-ratio valid-fraction",
    "test-fraction": "test-split test-size test-ratio",
    "split": "splitter cv shuffle-split",
    "group": "groups group-column",
    "patience": "early-stopping early-stopping-patience early-stopping-rounds early-stop "
    "n-iter-no-change",
    "clip-norm": "gradient-clip-val grad-clip clipnorm max-grad-norm max-norm clip-grad-norm",
    "clip-value": "clipvalue clip-grad-value",
    "accumulate": "accumulate-grad-batches gradient-accumulation-steps grad-accumulation",
    "ema": "ema-decay ema-rate moving-average averaging model-ema use-ema swa polyak-averaging",
    "keep": "save-best-only restore-best-weights save-best load-best-model-at-end",
    "threshold": "decision-threshold cutoff cut-off classification-threshold pos-threshold",
    "measure": "metric scoring score monitor eval-metric metric-for-best-model",
    "model": "architecture arch net network module estimator",
    "hidden": "hidden-layer-sizes hidden-layers hidden-sizes hidden-size hidden-dim hidden-units "
    "layers units widths",
    "dropout": "dropout-rate dropout-p drop-rate p-dropout",
    "schedule": "scheduler lr-scheduler lr-schedule lr-policy learning-rate-schedule "
    "lr-scheduler-type",
    "warmup": "warmup-steps num-warmup-steps warmup-iters",
    "decay-every": "decay-steps lr-step-size step-size",
    "decay-factor": "decay-rate lr-gamma factor",
    "final-lr": "eta-min min-lr lr-min",
    "target": "label labels target-column label-column y-column response",
    "categorical": "categorical-features cat-features categorical-columns categories",
    "drop": "drop-columns exclude ignore-columns",
    "missing": "na nan impute imputer fillna",
    "missing-values": "na-values null-values missing-value nulls",
    "separator": "sep delimiter",
    "decimal": "decimal-point decimal-comma",
    "standardize": "standardise normalize normalise scale scaler standard-scaler",
    "log-every": "log-interval log-freq log-frequency log-steps logging-steps print-every "
    "log-every-n-steps",
    "engine": "backend accelerator",
    "device": "gpu cuda cpu use-cuda",
    "dtype": "precision float-type",
    "out": "output output-dir out-dir outdir save-dir logdir log-dir default-root-dir save-path",
    "overwrite": "force overwrite-output-dir",
    "resume": "checkpoint ckpt ckpt-path resume-from resume-from-checkpoint continue",
    "spec": "config config-file params",
    "quiet": "silent",
    "track": "logger loggers log-to report-to tracker trackers",
    "data-dir": "data-path data-root dataset-dir root",
    "workers": "n-jobs jobs num-workers processes njobs max-workers",
    "trials": "n-trials num-trials num-samples n-iter",
    "search": "strategy search-strategy tuner",
    "prune": "pruner pruning early-stopping",
    "storage": "study database",
    "budget": "trials n-trials max-trials timeout time-limit max-time max-time-s",
    "seeds": "repeats n-seeds num-seeds replicates cv",
    "by": "hue color colour",
    "facet": "col panel",
    "top": "head limit",
    "format": "fmt ext file-format",
}
"""Of each option, without the dashes, what users of other libraries type. A word may stand with
several: the options that the command has are proposed."""

OTHER_CHOICES = {
    "accuracy": "acc accuracy-score",
    "balanced-accuracy": "balanced-acc balanced-accuracy-score uar",
    "f1": "f1-score f1-macro macro-f1",
    "auc": "roc-auc auroc roc roc-auc-score roc-auc-ovr",
    "log-loss": "neg-log-loss logloss",
    "r2": "r2-score r-squared",
    "rmse": "root-mean-squared-error neg-root-mean-squared-error",
    "mae": "mean-absolute-error neg-mean-absolute-error",
    "cross-entropy": "ce bce bce-with-logits binary-crossentropy categorical-crossentropy "
    "sparse-categorical-crossentropy log-loss logloss logistic softmax",
    "mse": "l2 mean-squared-error squared-error",
    "l1": "mae mean-absolute-error absolute-error",
    "huber": "smooth-l1",
    "pinball": "quantile",
    "kl-div": "kl kld kullback-leibler",
}
"""Of each choice what users of other libraries type."""


def meant(word: str, known: Iterable[str]) -> list[str]:
    """The flags that a word of other libraries stands for, among those that are known.

    Example:
        >>> meant("step_size", ["--lr", "--decay-every", "--epochs"])
        ['--lr', '--decay-every']
    """
    word = word.lstrip("-").replace("_", "-").lower()
    return [
        flag
        for flag in known
        if flag == f"--{word}" or word in OTHER_NAMES.get(flag.lstrip("-"), "").split()
    ]


def meant_choice(word: str, accepted: Iterable[str]) -> str | None:
    """The choice that a word of other libraries stands for, among those that are accepted.

    Example:
        >>> meant_choice("roc_auc", ["accuracy", "auc"]), meant_choice("acc", ["mse"])
        ('auc', None)
    """
    word = word.replace("_", "-").lower()
    found = (each for each in accepted if word in OTHER_CHOICES.get(each, "").split())
    return next(found, None)
