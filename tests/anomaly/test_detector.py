"""SMPOAnomalyDetector."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score

from sktn import SMPOAnomalyDetector
from sktn.anomaly.detector import offset_below, trimmed
from sktn.networks import mpo
from sktn.solvers import kernel_novelty
from sktn.solvers.gradient import adam
from sktn.tables.coordinates import fit_coordinates, squash

TRAINED = {"init": "identity", "max_iter": 3, "bond_dim": 3, "random_state": 0}


def correlated(rng, n_rows=200):
    X = rng.normal(size=(n_rows, 3))
    X[:, 2] = X[:, 0] + 0.1 * X[:, 2]
    return X


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"score_type": "density"},
        {"init": "mean-embedding"},
        {"n_estimators": 2, "bond_dim": 50},
        {"bandwidth": 0.3},
        {"output_dim": 20},
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
@pytest.mark.parametrize("init", ["identity", "random"])
def test_training_lowers_the_loss(rng, init, score):
    X = correlated(rng, 64)
    parameters = {**TRAINED, "init": init, "score_type": score, "max_iter": 30, "spacing": 2}
    detector = SMPOAnomalyDetector(**parameters).fit(X)
    assert detector.loss_curve_[-1] < detector.loss_curve_[0]
    assert detector.transform(X).shape == (64, 4)
    np.testing.assert_allclose(detector.transform(X).reshape(64, 2, 2).sum(axis=2), 1, rtol=1e-5)


@pytest.mark.parametrize("init", ["identity", "random"])
@pytest.mark.parametrize("spacing", [None, 1, 2])
def test_sweeps_descend_to_the_loss_of_their_operator(rng, init, spacing):
    X, weight, alpha = correlated(rng, 64), rng.integers(0, 3, 64), 0.3
    detector = SMPOAnomalyDetector(
        **{**TRAINED, "init": init, "max_iter": 6},
        solver="sweep",
        spacing=spacing,
        alpha=alpha,
        tol=0.0,
    ).fit(X, sample_weight=weight)
    assert np.all(np.diff(detector.loss_curve_) < 1e-9)
    [member] = detector.members_
    frobenius = np.log(np.sum(mpo.to_dense(member.cores) ** 2))
    fit = np.average((detector.score_samples(X) - 1) ** 2, weights=weight)
    assert detector.loss_curve_[-1] == pytest.approx(fit + alpha * max(frobenius, 0), rel=1e-5)
    repeated = detector.__class__(**detector.get_params()).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(repeated.loss_curve_, detector.loss_curve_, rtol=1e-6)


def test_two_site_sweeps_find_the_bond_dimensions(rng):
    X = correlated(rng, 64).astype(np.float32)
    single, pairs = (
        SMPOAnomalyDetector(**TRAINED, solver="sweep", truncation_tol=tol).fit(X)
        for tol in (None, 0.3)
    )
    assert single.bond_dims_.tolist() == [1, 2, 2, 1]
    assert pairs.bond_dims_.sum() < 6
    assert pairs.members_[0].cores.dtype == np.float32


def test_solvers_that_do_not_apply():
    X = np.zeros((3, 2))
    with pytest.raises(ValueError, match="solver='sweep' is for operators that are trained, but"):
        SMPOAnomalyDetector(solver="sweep").fit(X)
    with pytest.raises(ValueError, match="optimizer is used by solver='adam' only"):
        SMPOAnomalyDetector(init="random", solver="sweep", optimizer=adam()).fit(X)


def test_the_published_method_finds_strange_digits():
    """One class of two; all ten are in the benchmark script."""
    X, y = load_digits(return_X_y=True)
    ours = np.flatnonzero(y == 0)
    test = np.setdiff1d(np.arange(len(y)), ours[::2])
    detector = SMPOAnomalyDetector(init="identity", max_iter=40, random_state=0)
    detector.fit(X[ours[::2]].astype(np.float32))
    scores = detector.score_samples(X[test].astype(np.float32))
    assert roc_auc_score(y[test] == 0, scores) > 0.985


def test_scores_that_an_operator_does_not_have():
    X = np.zeros((3, 2))
    for init, score in [("projector", "two-sided"), ("identity", "density")]:
        with pytest.raises(
            ValueError, match=f"score_type='{score}' is not defined for init='{init}'"
        ):
            SMPOAnomalyDetector(init=init, score_type=score).fit(X)


def test_first_output_beyond_the_chain(rng):
    with pytest.raises(ValueError, match="first_output=3 is beyond the end of the chain"):
        SMPOAnomalyDetector(**TRAINED, first_output=3).fit(correlated(rng))


@pytest.mark.parametrize("parameters", [{}, {"init": "mean-embedding"}, TRAINED])
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
        detector.site_scores(new),
        detector.transform(new),
    ):
        assert np.all(np.isfinite(scores))
    assert set(detector.predict(new)) <= {-1, 1}


@pytest.mark.parametrize("parameters", [{}, {"init": "mean-embedding"}, TRAINED])
def test_a_single_column_and_a_single_value(rng, parameters):
    for X in (rng.normal(size=(40, 1)), np.full((10, 1), 3.0)):
        detector = SMPOAnomalyDetector(**{"random_state": 0, **parameters}).fit(X)
        assert np.all(np.isfinite(detector.score_samples([[0.0], [3.0], [1e30]])))


@pytest.mark.parametrize("parameters", [{}, {**TRAINED, "max_iter": 1}])
def test_many_columns(rng, parameters):
    X = rng.normal(size=(30, 1500)).astype(np.float32)
    X[:, 1000:] = X[:, :500] > 0
    detector = SMPOAnomalyDetector(**{"random_state": 0, **parameters}).fit(X)
    scores = detector.score_samples(np.concatenate([X, X + 3]))
    assert np.all(np.isfinite(scores))


def test_a_constant_column_that_changes_is_news(rng):
    X = np.column_stack([correlated(rng), np.full(200, 5.0)])
    detector = SMPOAnomalyDetector(random_state=0).fit(X)
    changed = X[:20].copy()
    changed[:, 3] = 6.0
    assert np.all(detector.score_samples(changed) < detector.score_samples(X[:20]))


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
    without, with_trim = (
        SMPOAnomalyDetector(trim=trim, random_state=0).fit(X).score_samples(X)
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


@pytest.mark.parametrize("parameters", [{}, {"init": "mean-embedding"}])
def test_partial_fit_adds_rows(rng, parameters):
    X = correlated(rng, 400)
    detector = SMPOAnomalyDetector(random_state=0, **parameters).partial_fit(X[:100])
    before = detector.score_samples(X[200:]).mean()
    detector.partial_fit(X[100:200])
    assert detector.score_samples(X[200:]).mean() > before - (1 if parameters else 0)
    assert np.all(np.isfinite(detector.score_samples(X)))


def test_partial_fit_is_a_fit_on_all_rows_with_the_first_landmarks(rng):
    X = correlated(rng, 150)
    detector = SMPOAnomalyDetector(bandwidth=0.5, random_state=0)
    [member] = detector.partial_fit(X[:50]).partial_fit(X[50:]).members_
    network, coordinates = member.projector, member.coordinates
    moments = kernel_novelty.start_moments(
        network.landmarks, network.bandwidth, coordinates.mean, coordinates.variance
    )
    moments = kernel_novelty.add_rows(moments, coordinates.transform(X), np.ones(len(X)))
    expected = kernel_novelty.projector(moments, detector.ridge)
    new = coordinates.transform(correlated(rng))
    np.testing.assert_allclose(
        kernel_novelty.novelty(network, member.spectrum, detector.ridge, new),
        kernel_novelty.novelty(*expected, detector.ridge, new),
        rtol=0.01,
    )


def test_partial_fit_of_a_trained_operator(rng):
    X = correlated(rng, 64)
    detector = SMPOAnomalyDetector(**TRAINED).partial_fit(X)
    cores = detector.members_[0].cores
    for _ in range(2):
        detector.partial_fit(X)
    assert not np.array_equal(detector.members_[0].cores, cores)
    assert np.all(np.isfinite(detector.score_samples(X)))


def test_the_column_that_makes_a_row_anomalous(rng):
    X = rng.normal(size=(300, 4))
    row = np.array([[0.0, 0.0, 5.0, 0.0]])
    for parameters in ({}, {"score_type": "density"}):
        detector = SMPOAnomalyDetector(random_state=0, **parameters).fit(X)
        assert np.argmax(detector.site_scores(row)) == 2


def test_training_rows_are_explained_like_new_ones(rng):
    """A training row is scored as if left out, and must be so when a value is hidden as well."""
    X = rng.normal(size=(300, 4))
    for parameters in ({}, {"init": "mean-embedding"}):
        detector = SMPOAnomalyDetector(random_state=0, **parameters).fit(X)
        known = np.mean(detector.site_scores(X[:100]))
        new = np.mean(detector.site_scores(rng.normal(size=(100, 4))))
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
    for parameters in ({}, {"init": "mean-embedding"}):
        detector = SMPOAnomalyDetector(random_state=0, **parameters).fit(correlated(rng))
        false_alarms = np.mean(detector.predict(correlated(rng, 2000)) == -1)
        assert 0.02 < false_alarms < 0.1


def test_pickle_and_same_seed(rng):
    X = correlated(rng)
    for parameters in ({}, TRAINED):
        parameters = {"random_state": 3, **parameters}
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
    detector = SMPOAnomalyDetector(n_estimators=3, bond_dim=20, bandwidth=0.5, random_state=0)
    assert len(detector.fit(X).members_) == 3
    assert len(detector.set_params(bond_dim=60).fit(X).members_) == 1


def test_output_as_a_frame(rng):
    X = pd.DataFrame(correlated(rng, 20), columns=list("abc"))
    detector = SMPOAnomalyDetector(output_dim=2, bandwidth=0.5).set_output(transform="pandas")
    frame = detector.fit_transform(X)
    assert list(frame.columns) == ["smpoanomalydetector0", "smpoanomalydetector1"]
    np.testing.assert_array_equal(detector.feature_names_in_, X.columns)


def test_a_loss_that_explodes(rng):
    X = correlated(rng, 30)
    detector = SMPOAnomalyDetector(**TRAINED, solver="adam", learning_rate=1e300)
    with pytest.warns(ConvergenceWarning, match="no longer finite"):
        detector.fit(X)
    assert np.all(np.isfinite(detector.score_samples(X)))


def test_offset_below_and_trimmed():
    scores, weight = np.array([3.0, 1.0, 2.0, 5.0]), np.array([1.0, 1.0, 1.0, 1.0])
    assert offset_below(scores, weight, 0.5) == 2.5
    assert offset_below(scores, weight, 0.01) == 1.5
    assert offset_below(scores[:1], weight[:1], 0.1) == 3.0
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
