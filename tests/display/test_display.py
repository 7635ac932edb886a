"""Drawings: what they show, without looking at pixels."""

from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktn import (
    MPSClassifier,
    MPSClassifierCV,
    MPSRegressor,
    NetworkDisplay,
    RGTNDecomposer,
    TTDecomposer,
)
from sktn.display import (
    ChainDisplay,
    InteractionDisplay,
    LossCurveDisplay,
    MarginalEffectDisplay,
    ReconstructionDisplay,
    ReliabilityDisplay,
    ShapleyDisplay,
    VarianceSharesDisplay,
    plot_history,
)
from sktn.inspection import shapley_values

mpl.use("Agg")


@pytest.fixture(scope="module")
def model():
    X = np.cumsum(np.random.default_rng(0).normal(size=(7, 6, 5)), axis=0)
    return RGTNDecomposer(0.2, random_state=0).fit(X)


def test_one_line_per_edge(model):
    display = NetworkDisplay.from_estimator(model)
    assert len(display.lines_) == display.n_edges == np.sum(np.triu(model.bond_dims_, 1) > 1)
    # A number is on its line, a little off the middle.
    for line, text in zip(display.lines_, display.ax_.texts, strict=False):
        begin, end = line.get_xydata()
        np.testing.assert_allclose(text.get_position(), 0.6 * begin + 0.4 * end)
    named = NetworkDisplay.from_estimator(model, labels=["a", "b", "c"], ax=display.ax_)
    assert {"a", "b", "c"} <= {text.get_text() for text in named.ax_.texts}
    assert named.figure_ is display.figure_


def test_factors_of_a_mode_share_its_name_and_a_band():
    R = np.ones((4, 4), dtype=int)
    R[0, 1] = R[1, 0] = R[1, 2] = R[2, 1] = R[2, 3] = R[3, 2] = 2
    display = NetworkDisplay(R, (6, 4, 5, 8), ["h", "w", "c"], ((6,), (4, 5), (8,))).plot()
    assert {"h", "wa", "wb", "c"} <= {text.get_text() for text in display.ax_.texts}
    assert len(display.ax_.lines) == len(display.lines_) + 1


def test_history_reads_from_left_to_right(model):
    ax = plot_history(model)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "parameters")
    best = ax.lines[0].get_ydata()
    assert (np.diff(best) <= 0).all()
    assert best[-1] <= model.n_parameters_
    steps = [entry for entry in model.history_ if entry["scale"] == 0]
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == len(steps)
    ax.figure.draw_without_rendering()
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1


def test_history_of_a_budget_shows_errors():
    X = np.cumsum(np.random.default_rng(0).normal(size=(9, 8, 7)), axis=0)
    fitted = RGTNDecomposer(1e-9, max_parameters=100, random_state=0).fit(X)
    ax = plot_history(fitted)
    assert ax.get_ylabel() == "relative error"
    assert ax.lines[0].get_ydata()[-1] <= fitted.reconstruction_error_ * (1 + 1e-3)


def test_reconstructions_beside_the_data(rng):
    X = rng.random((6, 5, 3, 4, 2))
    model = TTDecomposer(target_error=0.3).fit(X)
    display = ReconstructionDisplay.from_estimator(model, X, {3: [0, 2], 4: 1}, color_axis=2)
    np.testing.assert_array_equal(display.original[1], X[:, :, :, 2, 1])
    np.testing.assert_allclose(display.approximation[0], model.to_tensor()[:, :, :, 0, 1])
    assert [ax.get_title() for ax in display.axes_[0]] == ["0", "2"]
    gaps = np.where(rng.random(X.shape) < 0.5, np.nan, X)
    again = ReconstructionDisplay.from_estimator(model, gaps, {3: [0, 2], 4: 1}, color_axis=2)
    assert np.isfinite(again.psnr_).all()
    error = (display.original - display.approximation)[0]
    peak = np.ptp(display.original)
    assert display.psnr_[0] == pytest.approx(20 * np.log10(peak / np.sqrt(np.mean(error**2))))
    with pytest.raises(ValueError, match=r"two axes, but X has 5, .* leave \[0, 1, 2\]"):
        ReconstructionDisplay.from_estimator(model, X, {3: [0], 4: 1})


@pytest.fixture(scope="module")
def classifier():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return MPSClassifier(bond_dim=4, degree=2, alpha=0.1, random_state=0).fit(X, y), X


@pytest.fixture(autouse=True)
def close_figures():
    yield
    mpl.pyplot.close("all")


def test_the_network_display_sends_chains_to_theirs(classifier):
    with pytest.raises(ValueError, match="ChainDisplay"):
        NetworkDisplay.from_estimator(classifier[0])


def test_pipelines_are_drawn_like_their_models(classifier):
    model, X = classifier
    pipeline = make_pipeline(StandardScaler(), MPSClassifier(**model.get_params()))
    pipeline.fit(X, load_iris().target)
    shares = VarianceSharesDisplay.from_estimator(pipeline)
    assert {tick.get_text() for tick in shares.ax_.get_yticklabels()} == set(X.columns)
    assert ChainDisplay.from_estimator(pipeline).entropies.site_names.count("output") == 1
    effect = MarginalEffectDisplay.from_estimator(pipeline, X, "petal width (cm)")
    assert effect.ax_.get_xlabel() == "petal width (cm)"
    ShapleyDisplay.from_estimator(pipeline, X.iloc[:1])


def test_loss_curve(classifier):
    display = LossCurveDisplay.from_estimator(classifier[0], name="sweep")
    np.testing.assert_array_equal(display.line_.get_ydata(), classifier[0].loss_curve_)
    other = LossCurveDisplay.from_estimator(classifier[0], ax=display.ax_)
    assert other.figure_ is display.figure_
    search = MPSClassifierCV(bases=[("standard", 1)], alphas=[1.0], random_state=0)
    with pytest.raises(ValueError, match="no loss_curve_: fit it first"):
        LossCurveDisplay.from_estimator(clone(classifier[0]))
    with pytest.raises(ValueError, match="no loss_curve_; each of its estimators_ has one"):
        LossCurveDisplay.from_estimator(search.fit(*load_iris(return_X_y=True)))


def test_chain_names_all_sites(classifier):
    display = ChainDisplay.from_estimator(classifier[0])
    texts = {text.get_text() for text in display.ax_.texts}
    assert {"output", *classifier[1].columns} <= texts


def test_variance_shares_are_the_lengths_of_bars(classifier):
    display = VarianceSharesDisplay.from_estimator(classifier[0], max_features=3)
    lengths = [bar.get_width() for bar in display.ax_.patches]
    total = np.sort(display.shares.total)[::-1][:3]
    np.testing.assert_allclose(np.add(lengths[:3], lengths[3:]), total)
    assert display.ax_.get_axisbelow() is True  # bars hide the grid
    pairs = display.plot(kind="pairs")
    assert pairs.ax_.images[0].get_array().shape == (3, 3)
    with pytest.raises(ValueError, match="kind must be"):
        display.plot(kind="pie")


def test_marginal_effects(classifier):
    model, X = classifier
    curves = MarginalEffectDisplay.from_estimator(model, X, "petal width (cm)")
    assert curves.ax_.get_xlabel() == "petal width (cm)"
    assert [text.get_text() for text in curves.ax_.get_legend().get_texts()] == ["0", "1", "2"]
    assert len(curves.plot(output=1).ax_.lines) == 2
    surface = MarginalEffectDisplay.from_estimator(model, X, [0, 3], grid_resolution=7)
    assert surface.ax_.collections[0].get_array().size == 49


def test_marginal_effect_of_a_category(rng):
    X = pd.DataFrame(
        {"colour": pd.Categorical(rng.choice(["blue", "red"], 60)), "size": rng.normal(size=60)}
    )
    model = MPSRegressor(bond_dim=3, degree=1, alpha=0.1).fit(X, X["size"] + (X["colour"] == "red"))
    display = MarginalEffectDisplay.from_estimator(model, X, "colour")
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["blue", "red"]
    MarginalEffectDisplay.from_estimator(model, X, ["colour", "size"])
    ShapleyDisplay.from_estimator(model, X)
    ShapleyDisplay.from_estimator(model, X.iloc[:1])


def test_shapley_pictures_show_every_value(classifier):
    model, X = classifier
    swarm = ShapleyDisplay.from_estimator(model, X, output=2)
    drawn = sum(len(dots.get_offsets()) for dots in swarm.ax_.collections)
    assert drawn == X.size
    # However many are alike, they stay in the row of their column, and fill most of it.
    alike = ShapleyDisplay.from_estimator(model, X.iloc[np.zeros(500, int)], kind="beeswarm")
    heights = np.concatenate([dots.get_offsets()[:, 1] for dots in alike.ax_.collections])
    assert 0.3 < np.abs(heights - np.round(heights)).max() < 0.4
    waterfall = ShapleyDisplay.from_estimator(model, X.iloc[[0]], max_features=3)
    # From the mean at the bottom to the score at the top, each step from where the last one ended.
    begins, steps = np.transpose([(b.get_x(), b.get_width()) for b in waterfall.ax_.patches])
    base = waterfall.explanation.base_values[0, 0]
    np.testing.assert_allclose(begins, [*(begins + steps)[1:], base])
    np.testing.assert_allclose(begins[0] + steps[0], base + steps.sum())
    np.testing.assert_allclose(steps.sum(), waterfall.explanation.values[0, :, 0].sum())
    assert waterfall.ax_.get_yticklabels()[-1].get_text() == "2 others"
    with pytest.raises(ValueError, match="kind must be"):
        swarm.plot(kind="force")


def test_pictures_say_which_class_the_score_is_of(classifier):
    model, X = classifier
    swarm = ShapleyDisplay.from_estimator(model, X, output=2)
    assert swarm.ax_.get_xlabel() == "Shapley value: change of the score of 2"
    waterfall = ShapleyDisplay.from_estimator(model, X.iloc[[0]])
    assert waterfall.ax_.get_xlabel().startswith("score of 0: ")
    pairs = InteractionDisplay.from_estimator(model, X[:5], output=1)
    assert pairs.ax_.images[0].colorbar.ax.get_ylabel() == "mean |change| of the score of 1"


def test_numbers_beside_the_bars_of_a_waterfall_have_room(classifier):
    model, X = classifier
    ax = ShapleyDisplay.from_estimator(model, X.iloc[[0]]).ax_
    ends = [bar.get_x() + width for bar in ax.patches for width in (0, bar.get_width())]
    low, high = ax.get_xlim()
    assert low < min(ends) - 0.1 * np.ptp(ends)
    assert max(ends) + 0.1 * np.ptp(ends) < high


def test_interactions_are_a_map_of_pairs(classifier):
    model, X = classifier
    mean = InteractionDisplay.from_estimator(model, X[:20], output=1, max_features=3)
    drawn = mean.ax_.images[0].get_array()
    assert drawn.shape == (3, 3)
    expected = np.abs(mean.interactions.matrix()[..., 1]).mean(axis=0)
    assert drawn.max() == expected.max()
    assert len(mean.ax_.get_xticklabels()) == 3
    row = mean.plot(row=2)
    assert row.ax_.images[0].get_clim()[0] < 0
    assert "change of the score of 0" in {ax.get_ylabel() for ax in row.figure_.axes}


def test_to_shap_keeps_everything(classifier):
    shap = pytest.importorskip("shap")
    explanation = ShapleyDisplay.from_estimator(*classifier).explanation
    handed_on = explanation.to_shap()
    assert isinstance(handed_on, shap.Explanation)
    np.testing.assert_array_equal(handed_on.values, explanation.values)


def test_the_explainer_of_shap_takes_a_method(rng):
    shap = pytest.importorskip("shap")
    X = rng.normal(size=(60, 4))
    model = MPSRegressor(degree=2, random_state=0).fit(X, X[:, 0] * X[:, 1] + X[:, 2])
    expected = shap.Explainer(model.predict, X[:15])(X[:3])
    found = shapley_values(model, X[:3], background=X[:15]).to_shap()
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    np.testing.assert_allclose(found.base_values, expected.base_values, rtol=1e-6)


def test_an_effect_shows_where_the_rows_are(rng):
    X = pd.DataFrame({"a": rng.normal(size=80), "b": rng.choice(["u", "v"], 80)}, dtype=object)
    X = X.astype({"a": float, "b": "category"})
    model = MPSRegressor(degree=2, random_state=0).fit(X, X["a"] + (X["b"] == "u"))
    bare = MarginalEffectDisplay.from_estimator(model, X, "a")
    assert not bare.ax_.child_axes
    display = MarginalEffectDisplay.from_estimator(model, X, "a", density=True)
    [foot] = display.ax_.child_axes
    low, high = display.effect.grid_values[0][[0, -1]]
    inside = np.sum((X["a"] >= low) & (X["a"] <= high))
    assert sum(bar.get_height() for bar in foot.patches) == inside
    levels = MarginalEffectDisplay.from_estimator(model, X, "b", density=True)
    counts = X["b"].value_counts()
    labels = [label.get_text() for label in levels.ax_.get_yticklabels()]
    assert labels == [f"u ({counts['u']})", f"v ({counts['v']})"]
    assert levels.ax_.get_ylim() == (-0.6, 1.6)
    both = rng.normal(size=(80, 2))
    model = MPSRegressor(degree=2, random_state=0).fit(both, both.prod(axis=1))
    pair = MarginalEffectDisplay.from_estimator(model, both, (0, 1), density=True)
    np.testing.assert_array_equal(pair.ax_.lines[0].get_xdata(), both[:, 0])
    # White is the mean of all, and the reach on both sides the same.
    low, high = pair.ax_.collections[0].get_clim()
    assert high - low == pytest.approx(2 * np.abs(pair.effect.average - pair.effect.mean[0]).max())
    assert (low + high) / 2 == pytest.approx(pair.effect.mean[0])


def test_reliability_of_probabilities(rng):
    proba = rng.dirichlet(np.ones(3), size=20_000)
    y = (proba.cumsum(axis=1) < rng.random((len(proba), 1))).sum(axis=1)
    true = ReliabilityDisplay.from_predictions(y, proba)
    assert len(true.curves) == 3
    assert true.calibration_error < 0.015
    for curve in true.curves:
        assert np.all(np.abs(curve.observed - curve.predicted) < 5 * curve.error)
    sharp = proba**3 / np.sum(proba**3, axis=1, keepdims=True)
    assert ReliabilityDisplay.from_predictions(y, sharp).calibration_error > 0.05
    # A false column order is what `classes` is there to see.
    names = np.array(["c", "a", "b"])
    named = ReliabilityDisplay.from_predictions(names[y], proba, classes=names)
    assert named.calibration_error == true.calibration_error
    with pytest.raises(ValueError, match="y_prob must have a row"):
        ReliabilityDisplay.from_predictions(y, proba[:, :2])


def test_reliability_of_models(rng):
    X = rng.normal(size=(600, 2))
    y = X[:, 0] + rng.normal(size=600)
    model = MPSRegressor(degree=2, random_state=0).fit(X[:300], y[:300])
    display = ReliabilityDisplay.from_estimator(model, X[300:], y[300:])
    assert display.calibration_error < 0.06
    assert len(display.curves[0].predicted) == 19
    classifier = MPSClassifier(degree=2, random_state=0).fit(X[:300], y[:300] > 0)
    display = ReliabilityDisplay.from_estimator(classifier, X[300:], y[300:] > 0, n_bins=5)
    [curve] = display.curves
    assert curve.name
    assert len(curve.predicted) == 5
    with pytest.raises(ValueError, match="says nothing of its certainty"):
        ReliabilityDisplay.from_estimator(StandardScaler().fit(X), X, y)
    # Of another package, which does not say by scikit-learn's tags what it is.
    stranger = SimpleNamespace(predict_proba=classifier.predict_proba, classes_=classifier.classes_)
    same = ReliabilityDisplay.from_estimator(stranger, X[300:], y[300:] > 0, n_bins=5)
    assert same.calibration_error == display.calibration_error


def test_models_that_search_no_structure_have_no_history():
    with pytest.raises(ValueError, match="MPSClassifier has no history_"):
        plot_history(MPSClassifier())
