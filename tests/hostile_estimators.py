"""Every estimator of the generated cases with any of its options, by a seed."""

import hostile_inputs as hostile
import numpy as np
from hostile_decomposers import (
    completer,
    fixed_graph,
    other_search,
    rgtn_decomposer,
    rgtn_imputer,
    tensor_regressor,
    tt_decomposer,
)
from hostile_inputs import SEEDS, pick, some
from sklearn.model_selection import GroupKFold, KFold, LeaveOneOut, ShuffleSplit, StratifiedKFold

import sktn
from sktn.anomaly import Adam as AnomalyAdam
from sktn.anomaly import Looks, MeanState, Projector, RobustLooks, TrainedSMPO
from sktn.anomaly import Sweep as AnomalySweep
from sktn.chains.real_scores import LOSSES
from sktn.chains.solvers import LBFGS, Adam, Convex, Sweep
from sktn.embeddings import EMBEDDINGS, Legendre, Product
from sktn.losses import Huber, Quantile

STARTS = ["convex", "constant", "identity", "copy", "gaussian", "isometric", "ones", "zeros"]
TRUNCATIONS = [0.0, 1e-12, 1e-3, 0.999, 1.0]


def orders(rng, d):
    """Orders of d columns along a chain."""
    order = rng.permutation(d)
    if rng.random() < 0.1:
        return [np.append(order, 0), order - 1, order + 0.5, ["c0"], []]
    return ["given", "correlation", "random", order, order.tolist()]


def categorical(rng, d):
    wrong = [["word"], [d], ["c0"]]
    right = [None, "from_dtype", [int(rng.integers(d))], rng.random(d) < 0.5]
    return wrong if rng.random() < 0.1 else right


def waves(x):
    """An embedding of a user's own."""
    return np.stack([np.cos(x), np.sin(x)], axis=-1) if isinstance(x, np.ndarray) else x[..., None]


def convex(rng):
    return Convex(**some(rng, 0.8, tol=[0.0, 1e-12, 1e-3, 1.0, 1e300, -1.0], max_order=[1, 2]))


def sweep(rng):
    options = some(rng, max_iter=[1, 3], tol=[0.0, 1e-3, 1.0, 1e300], truncation_tol=TRUNCATIONS)
    return Sweep(**{"max_iter": 2, **options})


def adam(rng):
    options = some(
        rng,
        learning_rate=[1e-300, 1e-3, 1e3],
        init=STARTS,
        batch_size=[1, 7, 10**6],
        early_stopping=[True],
        validation_fraction=[1e-9, 0.5, 0.999],
        n_iter_no_change=[1, None],
        tol=[0.0, 1e300],
        warm_start=[True],
    )
    return Adam(**{"max_iter": 2, **options})


def chain_options(rng, d):
    relevance = np.where(rng.random(d) < 0.2, 0.0, 10.0 ** rng.uniform(-3, 3, d))
    relevance = [relevance, relevance.tolist()]
    if rng.random() < 0.1:
        relevance = [[1.0, 2.0], -np.ones(d), np.full(d, np.nan), np.zeros(d)]
    with_output = np.insert(rng.permutation(d), rng.integers(d + 1), -1)
    solvers = ["convex", "sweep", "auto", convex(rng), sweep(rng)]
    if rng.random() < 0.01:  # They compile programs for every shape, seconds each.
        solvers = [adam(rng), LBFGS(**{"max_iter": 2, **some(rng, init=STARTS, tol=[0.0, 1.0])})]
    return some(
        rng,
        bond_dim=[1, 2, 7, 64],
        embedding=[*sorted(set(EMBEDDINGS)), Legendre(3), waves, Product(Legendre(2), 2)],
        degree=[1, 2, 5, 30],
        scaling=["auto", "quantile", "blended", "standard", "minmax", "mixed", "common", "none"],
        alpha=["auto", 0.0, 1e-12, 1.0, 1e12, 1e300],
        interaction_penalty=[0.0, 1e-3, 5.0, 1e6, 1e300],
        smoothness=[0.0, 0.5, 1.0, 50.0, 1e6],
        relevance=["equal", "auto", "auto", *relevance],
        solver=solvers,
        max_landmarks=[1, 5, 1000],
        n_estimators=[1, 2],
        feature_order=[*orders(rng, d), with_output],
        categorical_features=categorical(rng, d),
        missing=["auto", "marginal", "indicator"],
        time_limit=[1e-3, 5.0],
        random_state=[*SEEDS, None, np.random.RandomState(0)],
        verbose=[1],
    )


def class_weights(rng):
    if rng.random() < 0.7:
        return ["balanced"]
    return [{0: 2.0}, {0: 0.0}, {"no": 1e6, "yes": 1.0}, {0: 1e300, 1: 1.0}, {False: 1e-300}]


def mps_classifier(rng, d):
    options = chain_options(rng, d) | some(rng, class_weight=class_weights(rng))
    return sktn.MPSClassifier(**{"random_state": 0, **options})


def mps_regressor(rng, d):
    losses = [*LOSSES, *LOSSES.values(), Huber(epsilon=1e-3), Quantile(0.99), Quantile(1.5)]
    options = chain_options(rng, d) | some(rng, loss=losses)
    return sktn.MPSRegressor(**{"random_state": 0, **options})


def tree_options(rng, d):
    topologies = [
        "auto",
        "found",
        "halves",
        "chain",
        tuple(range(d)),
        (0, (1, 2)),
        np.zeros((2, 4)),
    ]
    return some(
        rng,
        bond_dim=[1, 2, 16],
        topology=topologies,
        degree=["auto", 1, 12],
        scaling=["standard", "minmax", "common"],
        alpha=["auto", 0.0, 1e-12, 1e12, 1e300],
        interaction_penalty=[0.0, 1e-3, 1e6],
        max_iter=[0, 2],
        max_landmarks=[1, 5],
        categorical_features=categorical(rng, d),
        missing=["auto", "indicator"],
        time_limit=[1e-3, 5.0],
        random_state=[*SEEDS, None],
        verbose=[1],
    )


def ttn_classifier(rng, d):
    options = tree_options(rng, d) | some(rng, class_weight=class_weights(rng))
    return sktn.TTNClassifier(**{"random_state": 0, **options})


def ttn_regressor(rng, d):
    options = tree_options(rng, d) | some(rng, loss=[*LOSSES, Quantile(0.99), Quantile(1.5)])
    return sktn.TTNRegressor(**{"random_state": 0, **options})


def cv_options(rng, d):
    """Those of a search, of one basis and few strengths unless it is drawn otherwise."""
    grid = {"bases": [("quantile", 2)], "alphas": [1.0, 0.01], "bond_dims": [3]}
    grid |= {"relevances": ["equal"], "interaction_penalties": [1.0], "smoothnesses": [1.0]}
    grid |= {"random_state": 0}
    n = 40
    halves = [(np.arange(n // 2, n), np.arange(n // 2)), (np.arange(n // 2), np.arange(n // 2, n))]
    return grid | some(
        rng,
        0.2,
        bases=[[("standard", 1), ("mixed", 3)], (("none", 2),), [("common", 30)], [("minmax", 1)]],
        alphas=[[1e12, 1.0, 0.0], np.array([1.0]), [1e300], [-1.0], ["auto"], []],
        bond_dims=[[1], [2, 4], (1, 64), [0]],
        relevances=[["equal", "auto"], ["auto"], ["none"]],
        smoothnesses=[[0.0, 5.0], [50.0]],
        interaction_penalties=[[0.0, 4.0], [1e6]],
        cv=[
            2,
            3,
            40,
            KFold(2),
            StratifiedKFold(3),
            LeaveOneOut(),
            ShuffleSplit(2, random_state=0),
            GroupKFold(2),
            halves,
        ],
        max_members=[1, 3],
        n_jobs=[1, 2, -1],
        random_state=[*SEEDS, None],
        verbose=[1],
    )


def mps_classifier_cv(rng, d):
    options = some(rng, scoring=["accuracy", "neg_log_loss"], class_weight=class_weights(rng))
    if rng.random() < 0.3:
        options["estimator"] = mps_classifier(rng, d).set_params(random_state=None)
    return sktn.MPSClassifierCV(**cv_options(rng, d), **options)


def mps_regressor_cv(rng, d):
    options = some(rng, loss=[*LOSSES, *LOSSES.values()])
    if rng.random() < 0.3:
        options["estimator"] = mps_regressor(rng, d).set_params(random_state=None)
    return sktn.MPSRegressorCV(**cv_options(rng, d), **options)


def trained(rng):
    sweep = AnomalySweep(
        **{"max_iter": 2, **some(rng, tol=[0.0, 1e300], truncation_tol=TRUNCATIONS)}
    )
    steps = some(
        rng, learning_rate=[1e-300, 1e3], batch_size=[1, 10**6], tol=[0.0], n_iter_no_change=[1]
    )
    options = some(
        rng,
        start=["random"],
        output_dim=[1, 3],
        spacing=[1, 2, 99],
        first_output=[0, 1, 99],
        score=["two-sided"],
        embedding=["trigonometric", "one_hot", "legendre", "fourier"],
        degree=[2, 5],
        scaling=["standard", "quantile", "none"],
        feature_order=["correlation", "random"],
        alpha=[0.0, 1e300],
        solver=[sweep, AnomalyAdam(**{"max_iter": 2, **steps})],
    )
    return TrainedSMPO(**{"bond_dim": 2, "solver": AnomalySweep(max_iter=2), **options})


def detector(rng, d):
    shared = {"scaling": ["standard", "common"], "bond_dim": [1, 2, 1000]}
    bandwidths = [1e-300, 1e-200, 1e-3, 1.0, 1e9, 1e300]
    ridges = [1e-300, 1e-6, 1.0, 1e300]
    neighbourhoods = [1e-9, 0.5, 0.999, 1.0]
    looks = {"ridge": ridges, "n_neighbors": [1, 1000], "neighbourhood": [*neighbourhoods, None]}
    projector = {"bandwidth": bandwidths, "ridge": ridges, "output_dim": [1, 3, 1000]}
    operators = [
        *("looks", "projector", "mean-state", "robust"),
        Looks(**some(rng, 0.4, **looks, **shared)),
        Projector(**some(rng, 0.4, **projector, **shared)),
        MeanState(**some(rng, 0.5, bandwidth=bandwidths, **shared)),
        RobustLooks(**some(rng, 0.5, neighbourhood=neighbourhoods, **shared)),
    ]
    if rng.random() < 0.02:  # It compiles.
        operators = [trained(rng)]
    options = some(
        rng,
        operator=operators,
        n_estimators=[2],
        trim=[0.1, 0.49],
        contamination=[0.1, 0.5, 1e-6],
        categorical_features=categorical(rng, d),
        random_state=[*SEEDS, None],
        verbose=[1],
    )
    return sktn.SMPOAnomalyDetector(**{"random_state": 0, **options})


def density(rng, d):
    # Sweeps cost most: few of them, unless the default is drawn.
    few = {"max_iter": 2, "degree": 2, "bond_dim": 3, "n_components": int(rng.integers(3))}
    options = (few if rng.random() < 0.97 else {}) | some(
        rng,
        bond_dim=[1, 2, 20],
        degree=[0, 1, 3, 12],
        alpha=[0.0, 1.0, 1e6, 1e300],
        n_components=[0, 1, 3, 30],
        resolution=[None, 0.1, 1e-9, 0.999],
        truncation_tol=[0.01, 0.0],
        feature_order=orders(rng, d),
        max_iter=[1, 3],
        validation_fraction=[None, 0.5, 1e-6],
        tol=[0.0, 1.0],
        categorical_features=categorical(rng, d),
        random_state=[*SEEDS, None],
        verbose=[1],
    )
    return sktn.MPSDensityEstimator(**{"random_state": 0, **options})


def mps_imputer(rng, d):
    options = some(
        rng,
        max_iter=[1, 2],
        n_landmarks=[2, 300],
        sample_posterior=[True],
        categorical_features=categorical(rng, d),
        add_indicator=[True],
        keep_empty_features=[True],
        random_state=[*SEEDS, None],
        verbose=[True],
    )
    return sktn.MPSImputer(**{"max_iter": 1, "random_state": 0, **options})


def pixels(rng, d):
    """One of the transformers of images."""
    shapes = [(1, d), (-1, 1), (d, -1, 1), np.array([d, 1])]
    if rng.random() < 0.1:
        shapes = [(d,), (-1, -1), (2, 3), (1.5, 2), ("one", d)]
    sides = [1, 2, 3, 100, (1, 2), (2, 1, 1), (0, 1), np.array([2, 2]), (1.5, 1)]
    options = some(rng, 0.9, image_shape=shapes)
    make = pick(rng, [sktn.PixelOrder, sktn.PixelPatches, sktn.PixelPooling, sktn.PixelPadding])
    own = {
        "order": ["row", "snake", "zigzag", "spiral", "hilbert"],
        "patch_shape": sides,
        "window": sides,
        "statistic": ["max", "mean"],
        "padded_shape": [(8, 8), (d, d), (1, 1), (10,), (7.5, 9), ("a", "b")],
        "fill_value": [1.0, np.nan, np.inf, -1e300, 2, 1e39],
    }
    return make(**options | some(rng, 0.5, **{k: own[k] for k in make().get_params() if k in own}))


LABELLED, NUMBERED, WEIGHED, PLAIN, TENSOR, LISTED, UNWEIGHED = range(7)
MAIN = {
    "MPSClassifier": (mps_classifier, LABELLED),
    "MPSClassifierCV": (mps_classifier_cv, LABELLED),
    "MPSRegressor": (mps_regressor, NUMBERED),
    "MPSRegressorCV": (mps_regressor_cv, NUMBERED),
    "TTNClassifier": (ttn_classifier, LABELLED),
    "TTNRegressor": (ttn_regressor, NUMBERED),
    "SMPOAnomalyDetector": (detector, WEIGHED),
    "MPSDensityEstimator": (density, WEIGHED),
    "MPSImputer": (mps_imputer, PLAIN),
    "RGTNDecomposer": (rgtn_decomposer, TENSOR),
    "TTDecomposer": (tt_decomposer, TENSOR),
    "RGTNImputer": (rgtn_imputer, TENSOR),
    "RGTNCompleter": (completer, LISTED),
    "graphs": (fixed_graph, TENSOR),
    "searches": (other_search, TENSOR),
    "pixels": (pixels, PLAIN),
    "RGTNRegressor": (tensor_regressor, UNWEIGHED),
}


def draw(name, rng):
    """An estimator, and what its `fit` is given: X first"""
    make, kind = MAIN[name]
    if kind == TENSOR:
        X = hostile.tensor(rng)
        return make(rng, max(1, np.ndim(X) if isinstance(X, (list, np.ndarray)) else 2)), [X]
    X = hostile.entries(rng) if kind == LISTED else hostile.table(rng)
    model, n = make(rng, max(1, hostile.n_columns(X))), hostile.n_rows(X)
    if kind == PLAIN:
        return model, [X]
    y = None
    if kind != WEIGHED:
        y = hostile.labels(rng, n) if kind == LABELLED else hostile.targets(rng, n)
    if kind == UNWEIGHED:
        return model, [X, y]
    given = [X, y, hostile.weights(rng, n)]
    if "CV" in name and rng.random() < 0.2:
        given.append(np.arange(n) // max(1, n // 4))
    return model, given
