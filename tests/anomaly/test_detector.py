"""SMPOAnomalyDetector."""

import pickle
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import roc_auc_score

from sktn import SMPOAnomalyDetector
from sktn.anomaly import Adam, Looks, MeanState, Projector, Sweep, TrainedSMPO
from sktn.anomaly.base import relative_weights, score_rows
from sktn.anomaly.calibration import fit_calibration, fit_combination, offset_below, trimmed
from sktn.anomaly.known_rows import KnownRows
from sktn.networks import mpo
from sktn.solvers import kernel_novelty
from sktn.tables.coordinates import fit_coordinates, squash
from sktn.tables.statistics import distinct_rows


def trained(solver=None, **parameters):
    return TrainedSMPO(solver=solver or Sweep(max_iter=3), **{"bond_dim": 3, **parameters})


TRAINED = {"operator": trained()}


def correlated(rng, n_rows=200):
    X = rng.normal(size=(n_rows, 3))
    X[:, 2] = X[:, 0] + 0.1 * X[:, 2]
    return X


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"operator": "projector"},
        {"operator": "mean-state"},
        {"n_estimators": 2, "operator": Projector(bond_dim=50)},
        {"operator": Projector(bandwidth=0.3)},
        {"operator": Projector(output_dim=20)},
        {"trim": 0.05},
    ],
)
def test_broken_correlations_are_anomalies(rng, parameters):
    train, normal = correlated(rng), correlated(rng)
    strange = rng.permuted(normal, axis=0)
    detector = SMPOAnomalyDetector(random_state=0, **parameters).fit(train)
    scores = detector.score_samples(np.concatenate([normal, strange]))
    # Some shuffled rows are as typical as any: 1 is out of reach.
    assert roc_auc_score(np.repeat([1, 0], 200), scores) > 0.8
    assert np.all(np.isfinite(scores))


@pytest.mark.parametrize("score", ["one-sided", "two-sided"])
@pytest.mark.parametrize("start", ["identity", "random"])
@pytest.mark.parametrize("solver", [Sweep(), Adam(max_iter=30)])
def test_training_lowers_the_loss(rng, start, score, solver):
    X = correlated(rng, 64)
    operator = trained(solver, start=start, score=score, spacing=2)
    detector = SMPOAnomalyDetector(operator=operator, random_state=0).fit(X)
    assert detector.loss_curve_[-1] < detector.loss_curve_[0]
    assert detector.transform(X).shape == (64, 4)
    np.testing.assert_allclose(detector.transform(X).reshape(64, 2, 2).sum(axis=2), 1, rtol=1e-5)


@pytest.mark.parametrize("start", ["identity", "random"])
@pytest.mark.parametrize("spacing", [None, 1, 2])
def test_sweeps_descend_to_the_loss_of_their_operator(rng, start, spacing):
    X, weight, alpha = correlated(rng, 64), rng.integers(0, 3, 64), 0.3
    operator = trained(Sweep(max_iter=6, tol=0.0), start=start, spacing=spacing, alpha=alpha)
    detector = SMPOAnomalyDetector(operator=operator, random_state=0)
    detector.fit(X, sample_weight=weight)
    assert np.all(np.diff(detector.loss_curve_) < 1e-9)
    [P] = detector.operators_
    frobenius = np.log(np.sum(mpo.to_dense(P.cores) ** 2))
    fit = np.average((detector.score_samples(X) - 1) ** 2, weights=weight)
    assert detector.loss_curve_[-1] == pytest.approx(fit + alpha * max(frobenius, 0), rel=1e-5)
    repeated = clone(detector).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(repeated.loss_curve_, detector.loss_curve_, rtol=1e-6)


def test_small_operators_are_swept(rng):
    X = correlated(rng, 64)
    curves = [
        SMPOAnomalyDetector(operator=TrainedSMPO(bond_dim=3, solver=solver), random_state=0)
        .fit(X)
        .loss_curve_
        for solver in ("auto", Sweep())
    ]
    np.testing.assert_array_equal(*curves)


def test_two_site_sweeps_find_the_bond_dimensions(rng):
    X = correlated(rng, 64).astype(np.float32)
    single, pairs = (
        SMPOAnomalyDetector(
            operator=trained(Sweep(max_iter=3, truncation_tol=tol)), random_state=0
        ).fit(X)
        for tol in (None, 0.3)
    )
    assert single.bond_dims_.tolist() == [1, 2, 2, 1]
    assert pairs.bond_dims_.sum() < 6
    assert pairs.operators_[0].cores.dtype == np.float32


def test_the_published_method_finds_strange_digits():
    """One class of two; all ten are in the benchmark script."""
    X, y = load_digits(return_X_y=True)
    ours = np.flatnonzero(y == 0)
    test = np.setdiff1d(np.arange(len(y)), ours[::2])
    detector = SMPOAnomalyDetector(operator="trained", random_state=0)
    detector.fit(X[ours[::2]].astype(np.float32))
    scores = detector.score_samples(X[test].astype(np.float32))
    assert roc_auc_score(y[test] == 0, scores) > 0.985


def test_first_output_beyond_the_chain(rng):
    with pytest.raises(ValueError, match="first_output=3 is beyond the end of the chain"):
        SMPOAnomalyDetector(operator=trained(first_output=3)).fit(correlated(rng))


@pytest.mark.parametrize(
    "parameters", [{}, {"operator": "mean-state"}, {"operator": "robust"}, TRAINED]
)
def test_awkward_rows_and_columns(rng, parameters):
    X = correlated(rng, 60)
    X = np.column_stack([X, np.full(60, 7.0), np.full(60, np.nan), X[:, 0]])
    X[::7, 1] = np.nan
    X[1:5] = X[0]
    X[8] = np.nan
    X[9, 0] = 1e30
    detector = SMPOAnomalyDetector(**{"random_state": 0, **parameters}).fit(X)
    new = np.array([[1e30] * 6, [-1e30] * 6, [np.nan] * 6, [0.0] * 6, [1e300, *[0.0] * 5]])
    for scores in (
        detector.score_samples(X),
        detector.score_samples(new),
        detector.feature_contributions(new).values,
        detector.transform(new),
    ):
        assert np.all(np.isfinite(scores))
    assert set(detector.predict(new)) <= {-1, 1}
    # Of values in a column of which the fit has seen none nothing is known.
    filled = np.column_stack([X[:, :4], np.arange(60), X[:, 5:]])
    np.testing.assert_array_equal(detector.score_samples(filled), detector.score_samples(X))


@pytest.mark.parametrize(
    "parameters", [{}, {"operator": "mean-state"}, {"operator": "robust"}, TRAINED]
)
def test_a_single_column_and_a_single_value(rng, parameters):
    for X in (rng.normal(size=(40, 1)), np.full((10, 1), 3.0)):
        detector = SMPOAnomalyDetector(**{"random_state": 0, **parameters}).fit(X)
        assert np.all(np.isfinite(detector.score_samples([[0.0], [3.0], [1e30]])))


@pytest.mark.parametrize("parameters", [{}, {"operator": trained(Sweep(max_iter=1))}])
def test_many_columns(rng, parameters):
    X = rng.normal(size=(30, 900)).astype(np.float32)
    X[:, 600:] = X[:, :300] > 0
    detector = SMPOAnomalyDetector(**{"random_state": 0, **parameters}).fit(X)
    scores = detector.score_samples(np.concatenate([X, X + 3]))
    assert np.all(np.isfinite(scores))


def test_a_constant_column_that_changes_is_news(rng):
    X = np.column_stack([correlated(rng), np.full(200, 5.0)])
    detector = SMPOAnomalyDetector(random_state=0).fit(X)
    changed = X[:20].copy()
    changed[:, 3] = 6.0
    assert np.all(detector.score_samples(changed) < detector.score_samples(X[:20]))


@pytest.mark.parametrize("operator", ["looks", "projector", "robust", "mean-state"])
def test_what_differs_from_copies_of_one_row_is_an_outlier(operator):
    detector = SMPOAnomalyDetector(operator=operator, random_state=0).fit(np.ones((20, 2)))
    np.testing.assert_array_equal(detector.predict([[1, 1], [2, 1], [1, 9]]), [1, -1, -1])


def test_repeated_rows_are_weights(rng):
    X = correlated(rng, 50)
    weight = rng.integers(0, 3, size=50)
    by_weight = SMPOAnomalyDetector(random_state=0).fit(X, sample_weight=weight)
    by_rows = SMPOAnomalyDetector(random_state=0).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(by_weight.score_samples(X), by_rows.score_samples(X), atol=1e-6)
    assert by_weight.offset_ == pytest.approx(by_rows.offset_, abs=1e-6)


def test_all_weights_zero(rng):
    with pytest.raises(ValueError, match="at least one non-zero"):
        SMPOAnomalyDetector().fit(correlated(rng), sample_weight=np.zeros(200))


def test_trimming_leaves_out_contamination(rng):
    """Strange rows that were trained on look less typical once they are left out."""
    X = np.concatenate([correlated(rng, 300), rng.uniform(-6, 6, size=(20, 3))])
    # As they are, and as new rows close to them.
    for operator, new in (("projector", X), ("looks", X + 1e-6)):
        without, with_trim = (
            SMPOAnomalyDetector(operator=operator, trim=trim, random_state=0)
            .fit(X)
            .score_samples(new)
            for trim in (0.0, 0.1)
        )
        assert with_trim[300:].mean() < without[300:].mean()
        assert roc_auc_score(np.repeat([1, 0], [300, 20]), with_trim) > 0.95


@pytest.mark.parametrize("contamination", ["auto", 0.1, 0.5])
def test_offset(rng, contamination):
    X = correlated(rng)
    detector = SMPOAnomalyDetector(contamination=contamination, random_state=0)
    share = np.mean(detector.fit_predict(X) == -1)
    assert share == pytest.approx(0.05 if contamination == "auto" else contamination)


@pytest.mark.parametrize("operator", ["looks", "projector", "mean-state"])
def test_partial_fit_adds_rows(rng, operator):
    X = correlated(rng, 400)
    detector = SMPOAnomalyDetector(operator=operator, random_state=0).partial_fit(X[:100])
    before = detector.score_samples(X[200:])
    detector.partial_fit(X[100:200])
    after = detector.score_samples(X[200:])
    assert np.all(np.isfinite(after))
    assert np.any(after != before)
    # More rows leave less novelty; a density stays one, and surroundings rise with the row.
    if operator == "projector":
        assert after.mean() > before.mean()


def test_partial_fit_is_a_fit_on_all_rows_with_the_first_landmarks(rng):
    X = correlated(rng, 150)
    detector = SMPOAnomalyDetector(operator=Projector(bandwidth=0.5), random_state=0)
    [P] = detector.partial_fit(X[:50]).partial_fit(X[50:]).operators_
    network, coordinates, ridge = P.network, P.coordinates, P.ridge
    moments = kernel_novelty.start_moments(
        network.landmarks, network.bandwidth, coordinates.mean, coordinates.variance
    )
    moments = kernel_novelty.add_rows(moments, coordinates.transform(X), np.ones(len(X)))
    expected = kernel_novelty.projector(moments, ridge)
    new = coordinates.transform(correlated(rng))
    np.testing.assert_allclose(
        kernel_novelty.novelty(network, P.spectrum, ridge, new),
        kernel_novelty.novelty(*expected, ridge, new),
        rtol=0.01,
    )


def test_partial_fit_of_a_trained_operator(rng):
    X = correlated(rng, 64)
    detector = SMPOAnomalyDetector(**TRAINED).partial_fit(X)
    cores = detector.operators_[0].cores
    for _ in range(2):
        detector.partial_fit(X)
    assert not np.array_equal(detector.operators_[0].cores, cores)
    assert np.all(np.isfinite(detector.score_samples(X)))


def test_the_column_that_makes_a_row_anomalous(rng):
    X = rng.normal(size=(300, 4))
    row = np.array([[0.0, 0.0, 5.0, 0.0]])
    for parameters in ({}, {"operator": "mean-state"}):
        detector = SMPOAnomalyDetector(random_state=0, **parameters).fit(X)
        assert np.argmax(detector.feature_contributions(row).values) == 2


def test_training_rows_are_explained_like_new_ones(rng):
    """A training row is scored as if left out, and must be so when a value is hidden as well."""
    X = rng.normal(size=(300, 4))
    for parameters in ({}, {"operator": "mean-state"}):
        detector = SMPOAnomalyDetector(random_state=0, **parameters).fit(X)
        known = np.mean(detector.feature_contributions(X[:100]).values)
        new = np.mean(detector.feature_contributions(rng.normal(size=(100, 4))).values)
        assert abs(known - new) < 0.1


def test_categories_and_names(rng):
    n = 200
    colour = rng.choice(["red", "green"], size=n)
    frame = pd.DataFrame(
        {
            "colour": pd.Categorical(colour),
            "length": rng.normal(size=n) + 4 * (colour == "red"),
        }
    )
    detector = SMPOAnomalyDetector(random_state=0).fit(frame)
    swapped = frame.assign(
        colour=pd.Categorical(np.where(colour == "red", "green", "red"), ["green", "red"])
    )
    labels = np.repeat([1, 0], n)
    scores = detector.score_samples(pd.concat([frame, swapped]))
    assert roc_auc_score(labels, scores) > 0.9
    unknown = frame.assign(colour=pd.Categorical(["blue"] * n))
    assert np.all(np.isfinite(detector.score_samples(unknown)))
    names = detector.get_feature_names_out()
    assert len(names) == detector.transform(frame).shape[1]


def test_new_rows_are_no_stranger_than_training_rows(rng):
    for parameters in ({}, {"operator": "mean-state"}):
        detector = SMPOAnomalyDetector(random_state=0, **parameters).fit(correlated(rng))
        false_alarms = np.mean(detector.predict(correlated(rng, 2000)) == -1)
        assert 0.02 < false_alarms < 0.1


def test_pickle_and_same_seed(rng):
    X = correlated(rng)
    for parameters in ({}, TRAINED):
        parameters = {**parameters, "random_state": 3}
        detector = SMPOAnomalyDetector(**parameters).fit(X)
        copy = pickle.loads(pickle.dumps(detector))
        np.testing.assert_array_equal(copy.score_samples(X), detector.score_samples(X))
        again = SMPOAnomalyDetector(**parameters).fit(X)
        np.testing.assert_array_equal(again.score_samples(X), detector.score_samples(X))


@pytest.mark.parametrize("parameters", [{}, TRAINED])
def test_fitted_detectors_hold_numpy_arrays(rng, parameters):
    detector = SMPOAnomalyDetector(**parameters).partial_fit(correlated(rng, 30))
    assert b"jax" not in pickle.dumps(detector.partial_fit(correlated(rng, 30)))


def test_repetitions(rng):
    """Other landmarks; with all rows as landmarks there are no others."""
    X = correlated(rng, 60)
    operator = Projector(bond_dim=20, bandwidth=0.5)
    detector = SMPOAnomalyDetector(operator=operator, n_estimators=3, random_state=0)
    assert len(detector.fit(X).operators_) == 3
    assert len(detector.set_params(operator__bond_dim=60).fit(X).operators_) == 1


def test_output_as_a_frame(rng):
    X = pd.DataFrame(correlated(rng, 20), columns=list("abc"))
    detector = SMPOAnomalyDetector(operator=Projector(output_dim=2, bandwidth=0.5)).set_output(
        transform="pandas"
    )
    for frame in (detector.fit_transform(X), detector.transform(X)):
        assert list(frame.columns) == ["smpoanomalydetector0", "smpoanomalydetector1"]
    np.testing.assert_array_equal(detector.feature_names_in_, X.columns)


def test_a_loss_that_explodes(rng):
    X = correlated(rng, 30)
    operator = trained(Adam(max_iter=3, learning_rate=1e300))
    detector = SMPOAnomalyDetector(operator=operator, random_state=0)
    with pytest.warns(ConvergenceWarning, match="no longer finite"):
        detector.fit(X)
    assert np.all(np.isfinite(detector.score_samples(X)))


def test_offset_below_and_trimmed():
    scores, weight = np.array([3.0, 1.0, 2.0, 5.0]), np.array([1.0, 1.0, 1.0, 1.0])
    assert offset_below(scores, weight, 0.5) == 2.5
    assert offset_below(scores, weight, 0.01) == 1.5
    assert offset_below(scores[:1], weight[:1], 0.1) == pytest.approx(3.0)
    np.testing.assert_array_equal(trimmed(scores, weight, 0.25), [1, 0, 1, 1])
    np.testing.assert_array_equal(trimmed(scores, weight, 0.2), weight)


def test_squash_is_monotone_and_smooth():
    z = np.linspace(-10, 10, 2001)
    out = squash(z)
    assert np.all(np.diff(out) > 0)
    np.testing.assert_allclose(np.diff(out, 2), 0, atol=1e-4)
    np.testing.assert_array_equal(squash(np.array([1.5, -1.5])), [1.5, -1.5])


def test_one_far_value_does_not_flatten_the_others(rng):
    X = rng.normal(size=(100, 1))
    X[0] = 1e30
    coordinates = fit_coordinates(X, np.ones(100))
    assert 0.5 < coordinates.transform(X[1:]).std() < 2


@pytest.mark.parametrize("scale", [1e300, 1e14, 1 / 300, 1e-300])
def test_only_ratios_of_weights_matter(rng, scale):
    X, weight = correlated(rng, 80), rng.integers(1, 4, size=80)
    new = correlated(rng, 30)
    for operator in ("projector", "mean-state", trained()):
        detector = SMPOAnomalyDetector(operator=operator, random_state=0)
        scores = detector.fit(X, sample_weight=weight).score_samples(new)
        rescaled = detector.fit(X, sample_weight=weight * scale).score_samples(new)
        np.testing.assert_allclose(rescaled, scores, rtol=1e-4, atol=1e-6)


def test_relative_weights():
    np.testing.assert_allclose(relative_weights(np.array([1.7e308, 1.7e308])), 1)
    np.testing.assert_allclose(relative_weights(np.array([1.0, 3.0])), [0.5, 1.5])


@pytest.mark.parametrize("operator", ["projector", "mean-state", "trained"])
def test_ties_at_the_offset_flag_all_of_the_lowest(operator):
    X = np.repeat([1.0, -1.0], [37, 13])[:, None]
    detector = SMPOAnomalyDetector(operator=operator, contamination=0.2, random_state=0).fit(X)
    assert np.sum(detector.predict(X) == -1) == 13


def test_a_refused_or_interrupted_fit_leaves_the_detector_as_it_was(rng, monkeypatch):
    X = correlated(rng, 60)
    detector = SMPOAnomalyDetector(random_state=0)
    with pytest.raises(ValueError, match="beyond the end of the chain"):
        detector.set_params(operator=trained(first_output=9)).fit(X)
    assert not [name for name in vars(detector) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        detector.predict(X)
    before = detector.set_params(operator="projector").fit(X).decision_function(X)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sktn.anomaly.detector.offset_below", interrupt)
    for method in (detector.fit, detector.partial_fit):
        with pytest.raises(KeyboardInterrupt):
            method(100 + 7 * X)
    with pytest.raises(KeyboardInterrupt):
        detector.fit(X[:, :2])
    np.testing.assert_array_equal(detector.decision_function(X), before)


def test_attributes_of_an_earlier_operator_disappear(rng):
    X = correlated(rng, 30)
    detector = SMPOAnomalyDetector(**TRAINED).fit(X)
    assert hasattr(detector, "loss_curve_")
    detector.set_params(operator="projector").fit(X)
    assert not hasattr(detector, "loss_curve_")
    assert hasattr(detector, "bandwidths_")
    detector.set_params(operator=trained()).fit(X)
    assert not hasattr(detector, "bandwidths_")


def test_partial_fit_refuses_another_operator(rng):
    X = correlated(rng, 60)
    detector = SMPOAnomalyDetector(operator=Projector(), random_state=0).fit(X)
    scores = detector.score_samples(X)
    for changes in ({"operator": trained()}, {"operator__ridge": 1e3}, {"n_estimators": 2}):
        changed = deepcopy(detector).set_params(**changes)
        with pytest.raises(ValueError, match=r"was .* when SMPOAnomalyDetector was fitted and is"):
            changed.partial_fit(X)
        np.testing.assert_array_equal(changed.score_samples(X), scores)
    detector.set_params(operator=Projector(), contamination=0.2).partial_fit(X)
    assert (detector.predict(X) == -1).sum() == 12


@pytest.mark.parametrize("operator", [MeanState(bandwidth=1e-200), Projector(bandwidth=1e-200)])
def test_a_tiny_bandwidth(rng, operator):
    X = rng.normal(size=(12, 2))
    detector = SMPOAnomalyDetector(operator=operator, random_state=0).fit(X)
    assert np.all(np.isfinite(detector.score_samples(np.concatenate([X, X + 1]))))


@pytest.mark.parametrize("operator", [Looks(ridge=1e-300), Projector(ridge=1e-300)])
def test_a_tiny_ridge(rng, operator):
    X = rng.integers(0, 2, size=(12, 1)).astype(float)
    weight = 10.0 ** -rng.integers(0, 300, size=12)
    detector = SMPOAnomalyDetector(operator=operator, random_state=0)
    detector.fit(X, sample_weight=weight)
    assert np.isfinite(detector.transform(X)).all()
    assert np.isfinite(detector.score_samples(X)).all()


def test_parameters_of_values_are_checked_and_nested():
    X = np.zeros((3, 2))
    detector = SMPOAnomalyDetector(operator=trained(Adam()))
    detector.set_params(operator__solver__learning_rate=-1.0)
    with pytest.raises(ValueError, match="'learning_rate' parameter of Adam"):
        detector.fit(X)
    with pytest.raises(ValueError, match="'ridge' parameter of Projector"):
        SMPOAnomalyDetector(operator=Projector(ridge=0)).fit(X)
    with pytest.raises(ValueError, match="'operator' parameter of SMPOAnomalyDetector"):
        SMPOAnomalyDetector(operator=Adam()).fit(X)


def test_offsets_between_ties_and_near_numbers():
    one = np.ones(4)
    assert offset_below(np.array([1.0, 1.0, 1.0, 2.0]), one, 0.1) == 1.5
    assert offset_below(np.array([1.0, 1.0, 1.0, 1.0]), one, 0.1) == pytest.approx(1.0)
    close = np.array([1.0, np.nextafter(1.0, 2), 2.0, 3.0])
    assert np.sum(close < offset_below(close, one, 0.25)) == 2  # equal up to rounding
    close[1] = 1.0 + 1e-6
    assert np.sum(close < offset_below(close, one, 0.25)) == 1


def test_calibration_is_the_empirical_distribution_with_an_exponential_tail(rng):
    scores = -rng.exponential(size=5000)
    calibration = fit_calibration(scores, np.ones(5000))
    new = -np.array([0.5, 2.0, 3.0])
    np.testing.assert_allclose(calibration.p_values(new), np.exp(new), atol=0.02)
    # log P(score <= s) = s here, also where no score was seen.
    np.testing.assert_allclose(calibration.log_p_values(new), new, atol=0.15)
    assert calibration.log_p_values(np.array([-20.0]))[0] == pytest.approx(-20, rel=0.15)
    assert calibration.p_values(np.array([-20.0]))[0] == pytest.approx(1 / 5001)
    grid = np.linspace(-30, 1, 2000)
    assert np.all(np.diff(calibration.log_p_values(grid)) >= 0)


def test_the_root_mean_square_of_looks_counts_and_repetitions_are_averaged(rng):
    typical = rng.normal(size=(3, 500))
    combination = fit_combination(typical, np.array([0, 1, 1]), np.ones(500))
    scores = np.array([[0.0, -9.0, -9.0], [0.0, 0.0, -9.0], [-9.0, 0.0, -9.0]])
    logs = np.array(
        [c.log_p_values(s) for c, s in zip(combination.calibrations, scores, strict=True)]
    )
    looks, seen = -np.array([logs[0], (logs[1] + logs[2]) / 2]), np.log(501)
    # What is rarer than any row that was seen counts at most twice as much.
    looks = [[v if v <= seen else seen * (2 - seen / v) for v in look] for look in looks]
    mean = -np.sqrt(np.mean(np.square(looks), axis=0))
    np.testing.assert_allclose(combination(scores), combination.overall.log_p_values(mean))
    # One look is enough, and both are more.
    assert combination(scores)[2] < combination(scores)[1] < np.log(0.02)
    # The mean of two is at most p with probability p all the same.
    assert np.mean(combination(typical) <= np.log(0.2)) == pytest.approx(0.2, abs=0.01)
    # Shares below the smallest number are told apart.
    far = combination(np.array([[-1e4, -2e4]] * 3))
    assert np.isfinite(far).all()
    assert far[1] < far[0]


def test_one_look_far_beyond_what_was_seen_does_not_drown_the_others(rng):
    typical = rng.normal(size=(3, 500))
    combination = fit_combination(typical, np.arange(3), np.ones(500))
    one, two = combination(np.array([[-1e3, -5.0], [0.0, -5.0], [0.0, -5.0]]))
    assert two < one < np.log(0.01)


def test_looks_see_what_a_density_or_a_subspace_alone_does_not(rng):
    """A sparse and a dense cluster: a row beside the dense one is strange for its surroundings."""
    sparse, dense = rng.normal(size=(200, 2)), 0.05 * rng.normal(size=(200, 2)) + 6
    detector = SMPOAnomalyDetector(random_state=0).fit(np.concatenate([sparse, dense]))
    beside = 6 + 0.4 * np.array([[np.cos(a), np.sin(a)] for a in np.linspace(0, 6, 20)])
    typical = rng.normal(size=(200, 2))
    assert np.median(detector.score_samples(beside)) < np.quantile(
        detector.score_samples(typical), 0.1
    )
    assert len(detector.operators_) == 5


def test_p_values_are_uniform_on_new_typical_rows(rng):
    """Twice the largest deviation of a mean of 1000 uniform numbers."""
    detector = SMPOAnomalyDetector(random_state=0).fit(correlated(rng, 500))
    p = detector.score_to_pvalue(detector.score_samples(correlated(rng, 1000)))
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)
    assert np.mean(p <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert detector.score_to_pvalue([-1e9])[0] == pytest.approx(1 / 501)


def test_discoveries_keep_the_rate_of_false_alarms(rng):
    detector = SMPOAnomalyDetector(random_state=0).fit(correlated(rng, 1000))
    strange = correlated(rng, 50) + np.array([0, 0, 4])
    found = detector.discoveries(np.concatenate([correlated(rng, 200), strange]), fdr=0.1)
    assert np.mean(found[200:]) > 0.9
    assert np.sum(found[:200]) <= 0.2 * np.sum(found)
    assert not detector.discoveries(correlated(rng, 200), fdr=1e-6).any()
    for fdr in (0, 2, np.nan, "x"):
        with pytest.raises(ValueError, match="fdr must be a number between 0 and 1"):
            detector.discoveries(strange, fdr=fdr)


def test_contributions_have_names(rng):
    X = pd.DataFrame(rng.normal(size=(100, 3)), columns=list("abc"))
    detector = SMPOAnomalyDetector(random_state=0).fit(X)
    row = pd.DataFrame([[0.0, 9.0, 0.0]], columns=list("abc"))
    contributions = detector.feature_contributions(row)
    assert contributions.feature_names[np.argmax(contributions.values)] == "b"
    unnamed = SMPOAnomalyDetector(random_state=0).fit(X.to_numpy())
    assert list(unnamed.feature_contributions(row.to_numpy()).feature_names) == ["x0", "x1", "x2"]


def test_training_rows_are_judged_as_what_may_be_strange_itself(rng):
    """A clump of them is strange by default, and typical where training rows are trusted."""
    strange = 0.3 * rng.normal(size=(15, 3)) + 6
    X, labels = np.concatenate([rng.normal(size=(300, 3)), strange]), np.repeat([1, 0], [300, 15])
    doubtful, trusting = (
        SMPOAnomalyDetector(operator=operator, random_state=0).fit(X)
        for operator in ("looks", Looks(neighbourhood=None))
    )
    assert roc_auc_score(labels, doubtful.score_samples(X)) > 0.99
    assert roc_auc_score(labels, trusting.score_samples(X)) < 0.9
    # New rows are judged against the training rows by both, one by one or together.
    new = np.array([z for z in X + 0.3 if np.linalg.norm(X - z, axis=1).min() > 0.2])
    np.testing.assert_array_equal(doubtful.score_samples(new), trusting.score_samples(new))
    mixed = np.concatenate([X[:3], new[:3]])
    np.testing.assert_allclose(
        doubtful.score_samples(mixed), [doubtful.score_samples(x[None])[0] for x in mixed]
    )
    # The units are the same: a share of the training rows.
    assert np.mean(doubtful.predict(rng.normal(size=(2000, 3))) == -1) == pytest.approx(
        0.05, abs=0.04
    )
    assert np.mean(doubtful.score_to_pvalue(doubtful.score_samples(X)) < 0.1) == pytest.approx(
        0.1, abs=0.03
    )
    # Left out one by one, a row that breaks only a relation between columns is seen.
    Z = correlated(rng, 300)
    Z[0] = [1.0, 0.0, -1.0]
    scores = trusting.fit(Z).score_samples(Z)
    assert np.mean(scores < scores[0]) < 0.02


def test_rows_are_known_by_all_their_values(rng):
    X = np.round(rng.normal(size=(200, 3)), 1)
    X[::7, 1], X[3, 0] = np.nan, -0.0
    X, weight = distinct_rows(X, np.ones(200))
    known = KnownRows.of(fit_coordinates(X, weight), X, np.arange(len(X)))

    def refuse(X):
        raise AssertionError("no row is new")

    found = known.blend(X[::-1], refuse)
    np.testing.assert_array_equal(found, np.arange(len(X))[::-1])
    # In single precision they are still the same rows.
    found = known.blend(X.astype(np.float32), lambda X: np.zeros(len(X)))
    np.testing.assert_allclose(found, np.arange(len(X)), rtol=1e-4)
    swapped = X[:, [1, 0, 2]]
    same = (np.nan_to_num(swapped[:, None], nan=9) == np.nan_to_num(X, nan=9)).all(axis=2)
    new = known.blend(swapped, lambda X: np.full(len(X), -1.0)) == -1
    np.testing.assert_array_equal(new, ~same.any(axis=1))


def test_the_score_of_a_training_row_fades_over_to_that_of_new_rows(rng):
    X = rng.normal(size=(200, 3))
    model = SMPOAnomalyDetector(random_state=0).fit(X)
    known = model._known
    # Alone, so that none of its steps is near another row, and where coordinates are linear.
    apart = np.sort(np.linalg.norm(X[:, None] - X, axis=2), axis=1)[:, 1]
    row = X[np.argmax(np.where(np.abs(X).max(axis=1) < 1.5, apart, 0))]
    steps = np.linspace(0, 1.2, 13)
    rows = row + steps[:, None] * [known.coordinates.scale[0] * known.radius, 0, 0]
    new = score_rows(model.operators_, model._combination, rows)
    share = np.maximum(1 - steps, 0)
    expected = share * model.score_samples(row[None]) + (1 - share) * new
    np.testing.assert_allclose(model.score_samples(rows), expected)


def test_a_copy_of_a_strange_training_row_is_as_strange(rng):
    strange = 0.05 * rng.normal(size=(12, 3)) + [3.0, -3.0, 3.0]
    X = np.concatenate([rng.normal(size=(300, 3)), strange])
    model = SMPOAnomalyDetector(random_state=0).fit(X)
    copies = strange * (1 + 1e-9)
    np.testing.assert_allclose(model.score_samples(copies), model.score_samples(strange), 1e-5)
    assert (model.predict(copies) == -1).all()


def test_a_clump_of_anomalies_in_the_training_rows_stays_strange(rng):
    """Where they are close to each other, finer looks find them the most typical of all."""
    strange = 0.1 * rng.normal(size=(12, 3)) + [3.0, -3.0, 3.0]
    X, labels = np.concatenate([rng.normal(size=(300, 3)), strange]), np.repeat([1, 0], [300, 12])
    robust, fine = (
        roc_auc_score(
            labels, SMPOAnomalyDetector(operator=P, random_state=0).fit(X).score_samples(X)
        )
        for P in ("robust", "projector")
    )
    assert robust > 0.9
    assert fine < 0.5


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_scattered_anomalies_in_the_training_rows(rng, share):
    n = int(300 * share)
    X = np.concatenate([rng.normal(size=(300, 3)), rng.uniform(-8, 8, size=(n, 3)), [[9.0] * 3]])
    scores = SMPOAnomalyDetector(operator="robust", random_state=0).fit(X).score_samples(X)
    assert roc_auc_score(np.repeat([1, 0], [300, n + 1]), scores) > 0.95


def test_marginal_densities_are_kernel_densities_of_columns(rng):
    X = correlated(rng)
    P = SMPOAnomalyDetector(operator="robust", random_state=0).fit(X).operators_[1]
    x, new = P.coordinates.transform(X), correlated(rng, 20)
    z, h = P.coordinates.transform(new), P.bandwidth
    kernel = np.exp(-0.5 * ((z[:, None] - x) / h) ** 2).mean(axis=1)
    np.testing.assert_allclose(P.transform(new), np.log(kernel), atol=0.01)
    among = np.exp(-0.5 * ((x[:, None] - x) / h) ** 2)
    share = (among.sum(axis=(0, 1)) - len(x)) / (len(x) * (len(x) - 1))
    np.testing.assert_allclose(share, 0.1, rtol=0.05)
    hidden = P.log_norms_without(new, 1)
    np.testing.assert_allclose(hidden, P.transform(new)[:, [0, 2]].sum(axis=1) + P.missing[1])


def test_scores_equal_up_to_rounding_are_equal(rng):
    """A row alone has other last digits than among others: neither its label nor its p-value
    depends on them."""
    scores = np.repeat([-3.0, -2.0, 0.5], [2, 5, 13]) * (1 + 1e-14 * rng.normal(size=20))
    calibration = fit_calibration(scores, np.ones(20))
    assert len(calibration.levels) == 3
    near = np.array([-3.0, -2.0, 0.5]) * (1 - 1e-14)
    np.testing.assert_allclose(calibration.p_values(near), [3 / 21, 8 / 21, 1.0])
    shifted = calibration.log_p_values(np.array([-3.0, -3.0 - 1e-13]))
    assert abs(np.diff(shifted)[0]) < 1e-3
    assert -3 < offset_below(scores, np.ones(20), 0.1) < -2


def test_ties_are_ties_whatever_rows_are_computed_with(rng):
    # Two looks, whose levels are steps: rounding must not become a step of the combination.
    scores = np.array([[-1.0, -1.0, -1.0, -1.0], [-2.0, -2.0, -2.0, -3.0]])
    found = fit_combination(scores, np.arange(2), np.ones(4))
    wanted = found(scores)
    for shift in (1e-14, -1e-14, 1e-10, -1e-10):
        np.testing.assert_allclose(found(scores * (1 + shift)), wanted, rtol=0, atol=1e-12)


def test_rows_of_equal_scores_are_typical_one_by_one(rng):
    for constant in (7.97280982, 1e16, -3.0, 0.0):
        scores = np.full(6, constant)
        offset = offset_below(scores, np.ones(6), 0.1)
        assert (scores * (1 + 1e-13) - offset >= 0).all()
        assert (scores * (1 - 1e-13) - offset >= 0).all()
