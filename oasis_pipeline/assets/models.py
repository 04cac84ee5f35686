"""Assets of the group ``models``: what is learned.

Here: declarations and what their metadata shows. Not here: training (``learning``) and the registry (``predictions``).
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from oasis_pipeline.assets.checks import Check
from oasis_pipeline.assets.declaration import Run, kept, whole, whole_asset
from oasis_pipeline.operations.features import FEATURES_VERSION
from oasis_pipeline.operations.training import TrainedClassifier, train_classifier
from oasis_pipeline.storage import ledger

PROMOTED = "promoted"
"""Check of a training: a warning where the new model is not taken."""


class TrainingConfig(dg.Config):
    """What a training may be told.

    Attributes
    ----------
    compare_earlier_method : bool
        Train, judge and register the earlier platform's method beside the classifier. The weekly training does; it takes longer than all
        the rest of a training.
    """

    compare_earlier_method: bool = False


@whole_asset(
    "models/dyna_classifier",
    inputs=[
        whole("clean/dynalabel"),
        kept("clean/card_features", "xspoc/card", "xspoc/xdiagresults", "clean/dynabounds", "clean/carddiag"),
    ],
    # a training takes minutes on a large field, and people label card by card
    waits_for_labels=20,
    serves_meanwhile=True,
    code_version=FEATURES_VERSION,
    config=TrainingConfig,
    description="Card classifier: trained on all labelled cards, scored on held-out wells, and compared once a week with the "
    "earlier platform's method. Until there are enough labels, a base model trained on simulated cards.",
    kinds=frozenset({"python", "scikitlearn"}),
    checks=(
        Check(
            PROMOTED,
            "the newly trained model is not worse than the one in use on wells that neither had seen, and predicts from now on",
        ),
    ),
)
def dyna_classifier(run: Run) -> dict[str, Any]:
    """Make ``models/dyna_classifier``."""
    trained = train_classifier(
        run.warehouse,
        run.store,
        home=run.settings.home,
        compare_earlier_method=run.config.compare_earlier_method,
    )
    with run.warehouse.transaction() as tx:
        ledger.mark_changed(tx, "models/dyna_classifier", {"": trained.labelled})
    run.checked[PROMOTED] = promotion_check(trained)
    return classifier_metadata(trained)


def promotion_check(trained: TrainedClassifier) -> dg.AssetCheckResult:
    """Say whether the newly trained model predicts from now on; a warning where it does not."""
    promotion = trained.promotion
    if promotion is None:
        return dg.AssetCheckResult(
            check_name=PROMOTED, passed=True, metadata={"model_version": trained.version}
        )
    text = promotion.reason
    if not promotion.promoted:
        text = (
            f"{trained.version} is registered but not in use, {text}. `oasis labels suspects` shows labels that may be wrong; "
            f"`oasis models use {trained.version}` takes it nevertheless"
        )
    comparison = {} if promotion.comparison is None else promotion.comparison.to_dict()
    return dg.AssetCheckResult(
        check_name=PROMOTED,
        passed=promotion.promoted,
        severity=dg.AssetCheckSeverity.WARN,
        description=text,
        metadata={
            "model_version": trained.version,
            "against": promotion.against or "none",
            **{name: value for name, value in comparison.items() if value is not None},
        },
    )


def classifier_metadata(trained: TrainedClassifier) -> dict[str, Any]:
    """Say what was learned and how well, with pictures."""
    shown: dict[str, Any] = {
        "model_version": trained.version,
        "labelled_cards": trained.labelled,
        "classes_with_too_few_cards": trained.unlearned,
        "suspected_wrong_labels": trained.suspects,
        **({"note": "; ".join(trained.notes)} if trained.notes else {}),
    }
    if trained.training is None:
        return {**shown, "learned_on": "simulated cards: there are not enough labels yet"}
    from oasis_pipeline.plotting.learning import calibration_figure, confusion_figure, risk_coverage_figure
    from oasis_pipeline.plotting.style import markdown

    training = trained.training
    evaluation = training.evaluation
    best = evaluation.models[0]
    return {
        **shown,
        "learned_on": f"{evaluation.cards:,} labelled cards of {evaluation.wells:,} wells",
        "held_out": evaluation.scheme,
        **promotion_metadata(trained),
        **weak_metadata(trained),
        "macro_f1": round(best.macro_f1, 4),
        "coverage": round(best.coverage, 4),
        "calibration_error": round(best.calibration_error, 4),
        "models": dg.MetadataValue.md(evaluation.to_markdown()),
        "classes": dg.MetadataValue.md(evaluation.classes_to_markdown()),
        "confusion": dg.MetadataValue.md(
            markdown(
                confusion_figure(training.truth, training.shown, evaluation.classes),
                "confusion on held-out wells",
            )
        ),
        "risk_area": round(best.risk_area, 4),
        "risk_coverage": dg.MetadataValue.md(
            markdown(
                risk_coverage_figure(
                    training.truth,
                    training.proba,
                    max(view.abstain_threshold for view in training.model.views.values()),
                ),
                "risk against coverage on held-out wells",
            )
        ),
        "calibration": dg.MetadataValue.md(
            markdown(calibration_figure(training.truth, training.proba), "calibration on held-out wells")
        ),
    }


def promotion_metadata(trained: TrainedClassifier) -> dict[str, Any]:
    """Whether the model predicts from now on, and why."""
    if trained.promotion is None:
        return {}
    return {"promoted": trained.promotion.promoted, "promotion": trained.promotion.reason}


def weak_metadata(trained: TrainedClassifier) -> dict[str, Any]:
    """Whether the vendor's texts were learned from, and why."""
    weak = trained.weak
    if weak is None:
        return {}
    text = (
        f"{weak.cards:,} cards of {weak.wells:,} wells that no person has labelled: {'learned from' if weak.used else 'left out'} "
        f"(macro F1 on held-out wells {weak.trial.beside:.3f} with them, {weak.trial.without:.3f} without)"
    )
    return {"vendor_texts": text}
