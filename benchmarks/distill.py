"""Chains that imitate other predictors: fidelity and time, then exact Shapley values.

    python benchmarks/distill.py
    python benchmarks/distill.py --data FOLDER --tables diabetes,phoneme --models HGB,SVC

Tables: scikit-learn's bundled ones, and every FOLDER/*.npz with arrays X and y (NaN = missing), at
most --cap rows each. Predictors are trained on two thirds of the rows, and the chain sees the same
rows; fidelity is taken on the last third and on rows whose columns are drawn from it independently.
Beside the elapsed time the processor time is printed, which other work on the machine does not
change. With --agreement, values of tree models are compared with the exact tree explainer of shap
(interventional, the same background rows).
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sktn.inspection import distill, shapley_values
from sktn.inspection.scores import scores_of

MODELS = {
    "HGB": lambda: HistGradientBoostingClassifier(random_state=0),
    "RF": lambda: RandomForestClassifier(random_state=0),
    "SVC": lambda: make_pipeline(SimpleImputer(), StandardScaler(), SVC(random_state=0)),
    "MLP": lambda: make_pipeline(
        SimpleImputer(), StandardScaler(), MLPClassifier(max_iter=300, random_state=0)
    ),
}
N_EXPLAINED, N_BACKGROUND, N_PERMUTED = 100, 50, 2000


def tables(folder, wanted, cap):
    bundled = ("breast_cancer", "wine", "iris")
    found = [(name, *getattr(datasets, f"load_{name}")(return_X_y=True)) for name in bundled]
    for path in sorted(Path(folder).glob("**/*.npz")) if folder else []:
        data = np.load(path)
        if data["y"].dtype.kind != "f" and path.stem not in bundled:
            found.append((path.stem.removeprefix("openml_"), data["X"].astype(float), data["y"]))
    for name, X, y in found:
        if wanted is None or name in wanted:
            rows = np.random.default_rng(0).permutation(len(y))[:cap]
            yield name, X[rows], np.unique(y, return_inverse=True)[1][rows]


def tree_agreement(predictor, model, background, rows):
    """Correlation with the exact values of the predictor itself, or None where there are none."""
    try:
        import shap
    except ImportError:
        return None
    binary = len(predictor.classes_) == 2
    boosting = isinstance(predictor, HistGradientBoostingClassifier) and binary
    if not boosting and not isinstance(predictor, RandomForestClassifier):
        return None
    explainer = shap.TreeExplainer(
        predictor, background, feature_perturbation="interventional", model_output="raw"
    )
    expected = np.asarray(explainer.shap_values(rows, check_additivity=False))
    if expected.ndim == 3 and expected.shape[2] == 2:
        expected = expected[..., 1]
    own = shapley_values(model, rows, background=background).values
    return float(np.corrcoef(own.ravel(), expected.ravel())[0, 1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder of .npz tables")
    parser.add_argument("--tables", help="names, separated by commas")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--cap", type=int, default=3000, help="rows of a table")
    parser.add_argument("--max-fits", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--agreement", action="store_true", help="compare with shap's trees")
    arguments = parser.parse_args()
    wanted = arguments.tables.split(",") if arguments.tables else None
    print(
        f"{'table':16s} {'n':>3s} {'model':5s} {'R2 held out':>11s} {'permuted':>8s} {'fits':>4s} "
        f"{'seconds':>8s} {'cpu':>6s} {'100 rows':>8s} {'cpu':>5s} {'r trees':>7s}"
    )
    rows = []
    for name, X, y in tables(arguments.data, wanted, arguments.cap):
        split = 2 * len(X) // 3
        train, held_out = X[:split], X[split:]
        for kind in arguments.models.split(","):
            predictor = MODELS[kind]()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the network's iterations, low fidelities
                predictor.fit(train, y[:split])
                clock, cpu = time.perf_counter(), time.process_time()
                result = distill(
                    predictor,
                    train,
                    max_fits=arguments.max_fits,
                    random_state=arguments.seed,
                )
            clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
            scores = scores_of(predictor, train, result.output)
            draw = np.random.default_rng(1)
            permuted = np.stack([draw.choice(c, N_PERMUTED) for c in held_out.T], axis=1)
            r2 = [
                r2_score(
                    scores(part),
                    result.model.predict(part).reshape(len(part), -1),
                    multioutput="variance_weighted",
                )
                for part in (held_out, permuted)
            ]
            explain, own = time.perf_counter(), time.process_time()
            shapley_values(result.model, held_out[:N_EXPLAINED])
            explain, own = time.perf_counter() - explain, time.process_time() - own
            agreement = None
            if arguments.agreement:
                agreement = tree_agreement(
                    predictor, result.model, train[:N_BACKGROUND], held_out[:N_EXPLAINED]
                )
            rows.append((*r2, clock, cpu, explain, own))
            print(
                f"{name:16s} {X.shape[1]:3d} {kind:5s} {r2[0]:11.3f} {r2[1]:8.3f} "
                f"{len(result.history):4d} {clock:8.1f} {cpu:6.1f} {explain:8.2f} {own:5.2f} "
                f"{'' if agreement is None else f'{agreement:7.3f}'}",
                flush=True,
            )
    rows = np.array(rows)
    good = np.sum(rows[:, :2].min(axis=1) >= 0.95)
    print(
        f"\n{good} of {len(rows)} pairs with R2 >= .95 on both; medians: "
        f"{np.median(rows[:, 2]):.1f} s elapsed, {np.median(rows[:, 3]):.1f} s of processor"
    )


if __name__ == "__main__":
    main()
