"""Exact readings against sums over all subsets, all levels and all rows."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from enumeration import (
    FAST,
    brute_force_shapley,
    conditional_means,
    enumerated,
    few_levels,
)
from sklearn.datasets import load_breast_cancer, load_iris, make_friedman1

from sktn import (
    MPSClassifier,
    MPSClassifierCV,
    MPSDensityEstimator,
    MPSRegressor,
    SMPOAnomalyDetector,
)
from sktn.chains.members import Member
from sktn.embeddings import Averaged, Trigonometric
from sktn.inspection import (
    bond_entropy,
    input_gradient,
    limit_order,
    marginal_effect,
    mutual_information,
    prune,
    shapley_values,
    truncate,
    variance_shares,
)
from sktn.networks import chain as chains
from sktn.networks import entanglement, folding, mps, shapley, sobol
from sktn.networks.mps import from_padded


def random_chain(rng, n=6, D=4, d=3):
    cores = rng.normal(size=(n, D, d, D)) / np.sqrt(D)
    readout = rng.normal(size=(D, 2, D))
    p = n // 2
    return cores, readout, p, mps.to_dense(cores, readout, p)


@pytest.fixture(scope="module")
def regressor():
    X, y = few_levels(np.random.default_rng(0))
    model = MPSRegressor(**FAST).fit(X, y)
    rows, shares = enumerated(X)
    return model, X, rows, shares, model.predict(rows)


def test_scalar_chain_is_the_dense_tensor(rng):
    for p in (0, 2, 5):
        cores, readout, _, _ = random_chain(rng, n=5)
        W = mps.to_dense(cores, readout, p)
        phi = rng.normal(size=(7, 5, 3))
        order = rng.permutation(5)
        member = Member(1.0, None, None, None, np.ones(2), np.zeros(2))
        network = from_padded(folding.fold(cores, p), readout, order, p)
        opened = replace(member, network=network).open()
        assert opened[2] == p
        np.testing.assert_array_equal(opened[3], order)
        # Only directions that no row can reach have gone.
        np.testing.assert_allclose(mps.to_dense(*opened[:3]), W, rtol=1e-10)
        dense = np.einsum("abcdeo,xa,xb,xc,xd,xe->xo", W, *phi.swapaxes(0, 1))
        for c in range(2):
            chain = chains.scalar_chain(cores, readout, p, c)
            np.testing.assert_allclose(chains.evaluate(chain, phi), dense[:, c], rtol=1e-10)


def test_sobol_kernels_are_sums_of_squares(rng):
    cores, readout, p, W = random_chain(rng)
    chain, W = chains.scalar_chain(cores, readout, p, 0), W[..., 0]
    varying = np.array(list(np.ndindex(W.shape))) > 0
    squares = W.ravel() ** 2
    order = varying.sum(axis=1)
    np.testing.assert_allclose(
        sobol.variance_by_order(chain), np.bincount(order, weights=squares), rtol=1e-9
    )
    variance, total = sobol.total_variances(chain)
    np.testing.assert_allclose(variance, squares[order > 0].sum())
    np.testing.assert_allclose(total, squares @ varying)
    pairs = sobol.pair_variances(chain)
    for i in range(6):
        for j in range(6):
            exactly = (order == len({i, j})) & varying[:, i] & varying[:, j]
            np.testing.assert_allclose(pairs[i, j], squares[exactly].sum(), rtol=1e-9)
    exactly = (varying == [True, False, True, True, False, False]).all(axis=1)
    np.testing.assert_allclose(sobol.subset_variance(chain, [0, 2, 3]), squares[exactly].sum())
    np.testing.assert_allclose(sobol.mean(chain), W.ravel()[0])


def test_variance_shares_by_enumeration(regressor):
    model, _, rows, shares, f = regressor
    reading = variance_shares(model, subsets=[(0, 3, 4), ("x1", "x2"), (0, 1, 2, 3, 4)])
    closed = {
        s: shares @ conditional_means(f, rows, shares, list(s)) ** 2
        for k in range(6)
        for s in combinations(range(5), k)
    }

    def part(s):
        """Moebius inversion over the subsets."""
        return sum(
            (-1) ** (len(s) - k) * closed[t] for k in range(len(s) + 1) for t in combinations(s, k)
        )

    variance = closed[tuple(range(5))] - closed[()]
    np.testing.assert_allclose(reading.variance, variance, rtol=1e-8)
    for i in range(5):
        np.testing.assert_allclose(reading.first_order[i], part((i,)) / variance, rtol=1e-6)
        others = tuple(j for j in range(5) if j != i)
        total = 1 - (closed[others] - closed[()]) / variance
        np.testing.assert_allclose(reading.total[i], total, rtol=1e-6)
    for i, j in combinations(range(5), 2):
        np.testing.assert_allclose(
            reading.pairs[i, j], part((i, j)) / variance, rtol=1e-6, atol=1e-10
        )
    expected = [part(s) / variance for s in ((0, 3, 4), (1, 2), (0, 1, 2, 3, 4))]
    np.testing.assert_allclose(reading.subsets, expected, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(reading.by_order.sum(), 1)
    np.testing.assert_allclose(
        reading.by_order[1], sum(part(s) for s in combinations(range(5), 2)) / variance, rtol=1e-6
    )


def test_marginal_effect_by_enumeration(regressor):
    model, X, rows, shares, f = regressor
    effect = marginal_effect(model, X, "x1")
    at = conditional_means(f, rows, shares, [1])
    for value, average in zip(effect.grid_values[0], effect.average[0], strict=True):
        np.testing.assert_allclose(average, at[rows[:, 1] == value][0], rtol=1e-7)
    np.testing.assert_allclose(effect.mean, [shares @ f])
    pair = marginal_effect(model, X, [3, 0])
    at = conditional_means(f, rows, shares, [0, 3])
    for (a, u), (b, v) in product(enumerate(pair.grid_values[0]), enumerate(pair.grid_values[1])):
        here = (rows[:, 3] == u) & (rows[:, 0] == v)
        np.testing.assert_allclose(pair.average[0, a, b], at[here][0], rtol=1e-7)


def test_shapley_kernel_sums_over_all_coalitions(rng):
    n, b = 10, 3
    cores, readout, p, _ = random_chain(rng, n=n)
    chain = chains.scalar_chain(cores, readout, p, 1)
    phi, background = rng.normal(size=(b, n, 3)), rng.normal(size=(n, 3))

    def value(s):
        vectors = np.broadcast_to(background, phi.shape).copy()
        vectors[:, list(s)] = phi[:, list(s)]
        return chains.evaluate(chain, vectors)

    np.testing.assert_allclose(
        shapley.shapley_values(chain, background, phi), brute_force_shapley(value, n), rtol=1e-8
    )


def test_shapley_values_by_enumeration(regressor):
    model, X, rows, shares, f = regressor
    explained = X[:4]

    def value(s):
        at = conditional_means(f, rows, shares, sorted(s))
        same = (rows[None][:, :, sorted(s)] == explained[:, None][:, :, sorted(s)]).all(axis=2)
        return np.array([at[row][0] for row in same])

    explanation = shapley_values(model, explained)
    np.testing.assert_allclose(
        explanation.values, brute_force_shapley(value, 5), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(explanation.base_values, shares @ f)


def test_shapley_values_against_a_background_of_rows(regressor):
    model, X, *_ = regressor
    explained, background = X[:3], X[50:54]

    def value(s):
        total = 0.0
        for row in background:
            mixed = np.broadcast_to(row, explained.shape).copy()
            mixed[:, list(s)] = explained[:, list(s)]
            total = total + model.predict(mixed)
        return total / len(background)

    values = shapley_values(model, explained, background=background).values
    np.testing.assert_allclose(values, brute_force_shapley(value, 5), rtol=1e-6, atol=1e-9)


def test_shapley_values_add_up_on_a_long_chain(rng):
    X = rng.normal(size=(80, 200))
    model = MPSClassifier(**{**FAST, "degree": 1, "solver": "convex"}).fit(X, X[:, 0] > 0)
    explanation = shapley_values(model, X[:5])
    score = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(score, model.decision_function(X[:5]), rtol=1e-9)


def test_shapley_values_of_many_classes_missing_values_and_dropped_columns(rng):
    X, y = load_iris(return_X_y=True)
    X = np.column_stack([X, np.ones(len(X))])
    model = MPSClassifier(**FAST).fit(X, y)
    rows = X[::40].copy()
    rows[0, 2] = np.nan
    explanation = shapley_values(model, rows)
    assert explanation.values.shape == (4, 5, 3)
    np.testing.assert_allclose(explanation.values[0, 2], 0, atol=1e-12)
    np.testing.assert_array_equal(explanation.values[:, 4], 0)
    np.testing.assert_allclose(
        explanation.base_values + explanation.values.sum(axis=1), model.decision_function(rows)
    )
    assert list(explanation.output_names) == [0, 1, 2]


def test_mixed_frame_with_categories(rng):
    X = pd.DataFrame(
        {
            "size": rng.normal(size=200),
            "colour": pd.Categorical(rng.choice(["blue", "green", "red"], 200)),
        }
    )
    y = X["size"] + (X["colour"] == "red") * 2.0
    model = MPSRegressor(**FAST).fit(X, y)
    effect = marginal_effect(model, X, "colour")
    assert list(effect.grid_values[0]) == ["blue", "green", "red"]
    np.testing.assert_allclose(effect.average[0, 2] - effect.average[0, 0], 2, atol=0.2)
    explanation = shapley_values(model, X.iloc[:3])
    assert explanation.data[0, 1] == X["colour"].iloc[0]
    score = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(score, model.predict(X.iloc[:3]))
    assert marginal_effect(model, X, ["size", "colour"]).average.shape == (1, 100, 3)


def test_averages_of_networks_average_linear_readings(rng):
    X, y = make_friedman1(120, n_features=6, random_state=0)
    model = MPSRegressor(n_estimators=2, **FAST).fit(X, y)
    explanation = shapley_values(model, X[:4])
    score = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(score, model.predict(X[:4]))
    with pytest.raises(ValueError, match="n_estimators=1"):
        bond_entropy(model)
    X, y = load_iris(return_X_y=True)
    model = MPSClassifierCV(bases=[("standard", 1)], alphas=[0.1, 1.0], cv=2, random_state=0)
    model.fit(X, y)
    mean = sum(
        w * m.decision_function(X[:4])
        for w, m in zip(model.weights_, model.estimators_, strict=True)
    )
    explanation = shapley_values(model, X[:4])
    np.testing.assert_allclose(
        explanation.base_values + explanation.values.sum(axis=1), mean, rtol=1e-4
    )


def test_counts_are_explained_on_the_log_scale(rng):
    X = rng.normal(size=(150, 3))
    model = MPSRegressor(loss="poisson", **FAST).fit(X, rng.poisson(np.exp(X[:, 0])))
    explanation = shapley_values(model, X[:5])
    score = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(np.exp(score), model.predict(X[:5]))


def test_planted_interactions_are_recovered(rng):
    X = rng.uniform(-1, 1, size=(2000, 6))
    # Variances 1/3, 4/9 and 1/27, of 22/27.
    y = X[:, 0] + 2 * X[:, 1] * X[:, 2] + X[:, 3] * X[:, 4] * X[:, 0]
    model = MPSRegressor(degree=2, bond_dim=8, alpha=0.01, random_state=0).fit(X, y)
    shares = variance_shares(model, subsets=[(0, 3, 4)])
    np.testing.assert_allclose(shares.first_order[0], 9 / 22, atol=0.02)
    np.testing.assert_allclose(shares.pairs[1, 2], 12 / 22, atol=0.02)
    np.testing.assert_allclose(shares.subsets, 1 / 22, atol=0.02)
    np.testing.assert_allclose(shares.by_order, [9 / 22, 12 / 22, 1 / 22, 0, 0, 0], atol=0.02)


@pytest.mark.parametrize("scaling", ["standard", "minmax", "quantile", "mixed"])
def test_input_gradient_by_differences(rng, scaling):
    X = rng.uniform(-1, 1, size=(60, 3))
    model = MPSRegressor(scaling=scaling, **FAST).fit(X, X[:, 0] * X[:, 1] + X[:, 2])
    rows = rng.uniform(-0.5, 0.5, size=(5, 3))
    gradient = input_gradient(model, rows)
    step = 1e-6
    for j in range(3):
        shift = step * (np.arange(3) == j)
        slope = (model.predict(rows + shift) - model.predict(rows - shift)) / (2 * step)
        np.testing.assert_allclose(gradient[:, j], slope, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(input_gradient(model, np.full((1, 3), 9.0)), 0)
    np.testing.assert_array_equal(input_gradient(model, np.full((1, 3), np.nan)), 0)


def test_entropies_are_those_of_the_dense_state(regressor, rng):
    cores, readout, p, W = random_chain(rng, n=4)
    entropies, _ = entanglement.bond_entropies(cores, readout, p)
    # The readout is site 2 of five: W has its axis last.
    state = np.moveaxis(W, -1, p)
    for k in range(1, 5):
        s = np.linalg.svd(state.reshape(int(np.prod(state.shape[:k])), -1), compute_uv=False)
        np.testing.assert_allclose(entropies[k], entanglement.entropy(s), rtol=1e-9)
    reading = bond_entropy(regressor[0])
    assert len(reading.entropy) == 7 == len(reading.site_names) + 1
    assert reading.site_names[2] == "output"
    assert reading.entropy[0] == reading.entropy[-1] == 0
    assert (reading.entropy <= np.log(reading.bond_dims) + 1e-9).all()


@pytest.mark.parametrize("blocks", [([0], [3]), ([0, 1], [2, 3]), ([1, 3], [0]), ([3], [2, 1])])
def test_mutual_information_is_that_of_the_dense_state(rng, blocks):
    cores, readout, p, W = random_chain(rng, n=4)

    def entropy(kept):
        others = [k for k in range(5) if k not in kept]
        M = W.transpose([*kept, *others]).reshape(3 ** len(kept), -1)
        return entanglement.entropy(np.linalg.svd(M, compute_uv=False))

    first, second = blocks
    expected = entropy(first) + entropy(second) - entropy([*first, *second])
    found = entanglement.mutual_information(cores, readout, p, first, second)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_mutual_information_of_a_model(rng):
    X, _score = few_levels(rng)
    model = MPSRegressor(**FAST).fit(X, X[:, 1] + X[:, 2])
    together = mutual_information(model, 1, "x2")
    product_state = MPSRegressor(**FAST).fit(X, (X[:, 1] - 0.4) * (X[:, 2] - 0.4))
    assert mutual_information(product_state, 1, "x2") < together / 10
    assert together > 10 * mutual_information(model, 0, [1, 2])
    np.testing.assert_allclose(together, mutual_information(model, "x2", 1))
    with pytest.raises(ValueError, match="disjoint"):
        mutual_information(model, [0, 1], 1)


def test_density_has_entropies(rng):
    X = rng.normal(size=(200, 2)) @ np.array([[1.0, 1.0, 0.0], [0.0, 0.3, 1.0]])
    model = MPSDensityEstimator(4, max_iter=5, validation_fraction=None, random_state=0).fit(X)
    reading = bond_entropy(model)
    assert len(reading.site_names) == 3
    assert len(reading.entropy) == 4
    assert reading.entropy[1] > 0
    assert mutual_information(model, 0, 1) > 0


def test_truncation_reports_what_it_costs(regressor):
    model, X, rows, shares, f = regressor
    result = truncate(model, bond_dim=2, X=X, y=f[:1].repeat(len(X)))
    assert result.model.bond_dims_.max() == 2
    assert result.n_parameters[1] < result.n_parameters[0]
    assert len(result.score) == 2
    # The error is that of the scaled score, target centred and divided by its spread.
    difference = (result.model.predict(rows) - f) / model.target_scale_
    norm = shares @ ((f - model.target_center_) / model.target_scale_) ** 2
    np.testing.assert_allclose(
        result.relative_error, np.sqrt(shares @ difference**2 / norm), rtol=1e-6
    )
    same = truncate(model, max_error=1e-12)
    np.testing.assert_allclose(same.model.predict(X), model.predict(X), rtol=1e-8)
    assert truncate(model, max_error=0.05).relative_error <= 0.05
    y = model.predict(X)
    loose = truncate(model, max_error=0.5, X=X, y=y)
    good = truncate(model, max_error=0.5, X=X, y=y, max_score_loss=1e-4)
    assert good.score[1] >= 1 - 1e-4 > loose.score[1]
    with pytest.raises(ValueError, match="needs X and y"):
        truncate(model, max_score_loss=0.1)


def test_pruned_features_have_no_influence(regressor):
    model, X, rows, shares, f = regressor
    result = prune(model, features=["x1"])
    assert list(result.removed) == ["x1"]
    expected = conditional_means(f, rows, shares, [0, 2, 3, 4])
    np.testing.assert_allclose(result.model.predict(rows), expected, rtol=1e-7)
    np.testing.assert_allclose(result.lost_share, variance_shares(model).total[1], rtol=1e-6)
    y = X[:, 0] * X[:, 1]
    sparse = prune(MPSRegressor(**FAST).fit(X, y), max_share=0.02)
    assert {"x2", "x3", "x4"} == set(sparse.removed)
    assert sparse.lost_share <= 0.02


@pytest.mark.parametrize("max_order", [1, 2, 3])
def test_orders_beyond_the_limit_are_gone(regressor, max_order):
    model, _, rows, shares, f = regressor
    expected = 0
    for order in range(max_order + 1):
        for subset in combinations(range(5), order):
            # Its own part: what the subset says, less what its subsets do.
            for k in range(order + 1):
                for fixed in combinations(subset, k):
                    given = conditional_means(f, rows, shares, list(fixed))
                    expected = expected + (-1) ** (order - k) * given
    result = limit_order(model, max_order)
    np.testing.assert_allclose(result.model.predict(rows), expected, rtol=1e-5, atol=1e-6)
    by_order = variance_shares(model).by_order
    np.testing.assert_allclose(result.lost_share, by_order[max_order:].sum(), rtol=1e-6)
    assert variance_shares(result.model).by_order[max_order:].sum() < 1e-9
    assert "score" not in result


def test_no_order_is_lost_where_all_are_kept(regressor):
    model, X, *_ = regressor
    result = limit_order(model, 5, X=X, y=model.predict(X))
    assert result.lost_share == 0
    np.testing.assert_allclose(result.score, [1, 1], rtol=1e-8)
    np.testing.assert_allclose(result.model.predict(X), model.predict(X), rtol=1e-5)


def test_orders_of_averages_classes_and_gaps(rng):
    X, y = load_iris(return_X_y=True)
    X[::9, 1] = np.nan
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["e"] = pd.Categorical(rng.choice(["u", "v", "w"], 150))
    for model in (
        MPSClassifier(**FAST, n_estimators=2),
        MPSClassifierCV(bases=[("standard", 2), ("quantile", 3)], cv=3, random_state=0),
    ):
        model.fit(frame, y)
        before = model.predict_proba(frame)
        result = limit_order(model, 2, X=frame, y=y)
        assert variance_shares(result.model, frame).by_order[2:].sum() < 1e-8
        assert result.score[0] == model.score(frame, y)
        assert result.score[1] == result.model.score(frame, y) > 0.9
        np.testing.assert_array_equal(model.predict_proba(frame), before)


def test_changed_models_have_no_intervals_of_the_model_before(rng):
    X = rng.uniform(-1, 1, size=(80, 3))
    model = MPSRegressor(degree=2, alpha=0.1, random_state=0).fit(X, X[:, 0] * X[:, 1])
    assert model.predict_interval(X).shape == (80, 2)
    for changed in (limit_order(model, 1), truncate(model), prune(model, features=["x2"])):
        with pytest.raises(ValueError, match="as it was fitted"):
            changed.model.predict_interval(X)
    assert hasattr(model, "spread_")


def test_float32_models_are_read_in_float64():
    X, y = load_breast_cancer(return_X_y=True)
    model = MPSClassifier(**FAST).fit(X.astype(np.float32), y)
    explanation = shapley_values(model, X[:5])
    score = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(score, model.decision_function(X[:5]), rtol=1e-3, atol=1e-4)
    shares = variance_shares(model)
    np.testing.assert_allclose(shares.by_order.sum(), 1, rtol=1e-12)
    assert (shares.total >= shares.first_order).all()


def test_errors_name_the_value_and_the_remedy(regressor, rng):
    model, X, *_ = regressor
    grouped = MPSRegressor(
        **{**FAST, "embedding": Averaged(Trigonometric(), group=2), "scaling": "minmax"}
    )
    with pytest.raises(ValueError, match="one column a site"):
        variance_shares(grouped.fit(X[:, :4], X[:, 0]))
    detector = SMPOAnomalyDetector(random_state=0).fit(X)
    with pytest.raises(ValueError, match="feature_contributions"):
        variance_shares(detector)
    with pytest.raises(ValueError, match="no feature 'colour'"):
        marginal_effect(model, X, "colour")
    with pytest.raises(ValueError, match="one feature or two"):
        marginal_effect(model, X, [0, 1, 2])
    with pytest.raises(ValueError, match="out of range"):
        variance_shares(model, output=3)
    with pytest.raises(ValueError, match="max_error"):
        truncate(model, max_error=1.5)
    with pytest.raises(ValueError, match="max_share"):
        prune(model, max_share=-1)
    for max_order in (0, 1.5):
        with pytest.raises(ValueError, match=f"max_order .* {max_order}"):
            limit_order(model, max_order)
    with pytest.raises(ValueError, match="y needs X"):
        limit_order(model, y=X[:, 0])
    with pytest.raises(ValueError, match="not repeat"):
        marginal_effect(model, X, [1, 1])


def test_shares_do_not_depend_on_the_unit_of_the_target(rng):
    """Squares of 1e200 are no floats."""
    X = rng.uniform(-1, 1, size=(60, 3))
    y = X[:, 0] + X[:, 1] * X[:, 2]
    options = {"alpha": 0.1, "degree": 2, "bond_dim": 4, "random_state": 0}
    wanted, found = (MPSRegressor(**options).fit(X, y * size) for size in (1.0, 2.0**700))
    np.testing.assert_allclose(
        found.feature_importances_, wanted.feature_importances_, rtol=1e-4, atol=1e-9
    )
    shares = variance_shares(wanted)
    for name in ("first_order", "total", "pairs", "by_order"):
        np.testing.assert_allclose(
            getattr(variance_shares(found), name), shares[name], rtol=1e-4, atol=1e-9
        )
    assert variance_shares(wanted).variance == pytest.approx(np.var(wanted.predict(X)), rel=0.5)
    assert prune(found, features=["x0"]).lost_share == pytest.approx(
        prune(wanted, features=["x0"]).lost_share, rel=1e-4
    )


def test_each_target_has_shares_whatever_the_unit_of_another(rng):
    X = rng.uniform(-1, 1, size=(60, 3))
    y = np.stack([X[:, 0], X[:, 1]], axis=1)
    largest = 1.7e308 / np.abs(y).max()
    model = MPSRegressor(alpha=0.1, degree=2, bond_dim=4, random_state=0)
    model.fit(X, y * [largest, 1e-12])
    np.testing.assert_allclose(model.feature_importances_, [1, 0, 0], atol=0.01)
    np.testing.assert_allclose(variance_shares(model, output=1).total, [0, 1, 0], atol=0.01)


def test_an_effect_beyond_the_floats_is_the_largest_of_them(rng):
    X = np.r_[np.zeros((40, 2)), np.eye(2), np.ones((2, 2))]
    y = X[:, 0] - X[:, 1]
    model = MPSRegressor(alpha=1e-3, bond_dim=4, random_state=0).fit(X, y)
    model.target_scale_ = np.full_like(model.target_scale_, 1.7e308)
    effect = marginal_effect(model, X, [0, 1])
    largest = np.finfo(float).max
    np.testing.assert_array_equal(effect.average[0, [0, 1], [1, 0]], [-largest, largest])
    assert np.isfinite(effect.average).all()
    assert np.isfinite(effect.mean).all()


def test_shapley_values_beyond_the_floats_are_the_largest_of_them(rng):
    X = np.r_[np.zeros((40, 2)), np.eye(2), np.ones((2, 2))]
    y = X[:, 0] - X[:, 1]
    model = MPSRegressor(alpha=1e-3, bond_dim=4, random_state=0).fit(X, y)
    model.target_scale_ = np.full_like(model.target_scale_, 1.7e308)
    for background in (None, X[:3]):
        values = shapley_values(model, X[40:42], background=background).values
        assert np.isfinite(values).all()
        assert values[0, 0] > 1e308


def test_slopes_of_a_target_beyond_the_floats_are_numbers(rng):
    X = rng.uniform(-1, 1, size=(60, 2))
    y = X[:, 0] * X[:, 1]
    model = MPSRegressor(alpha=1e-3, bond_dim=4, random_state=0).fit(X, y)
    wanted = input_gradient(model, X) * (2.0**1000 / model.target_scale_)
    model.target_scale_ = np.full_like(model.target_scale_, 2.0**1000)
    np.testing.assert_allclose(input_gradient(model, X), wanted, rtol=1e-9)
    model.target_scale_ = np.full_like(model.target_scale_, 1.7e308)
    assert np.isfinite(input_gradient(model, X)).all()
