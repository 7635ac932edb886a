"""Gradient solvers on problems small enough to know the answer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sktn.backend import n_compiled
from sktn.solvers import gradient
from sktn.solvers.gradient import Objective, Training, minimize, minimize_lbfgs


# At module level: a new function would compile anew.
def least_squares(params, batch, weight, context):
    error = batch["x"] @ params["w"] + params["b"] - batch["y"]
    fit = jnp.sum(weight * error**2) / jnp.maximum(jnp.sum(weight), 1e-30)
    return fit + context["ridge"] * jnp.sum(params["w"] ** 2)


def root(params, batch, weight, context):
    """Finite down to w = 0, no number beyond; the gradient is finite as long as the value is."""
    return jnp.sqrt(params["w"][0] - context["edge"]) + 0 * jnp.sum(batch["y"] * weight)


value_of, slope_of = jax.jit(least_squares), jax.jit(jax.grad(least_squares))


@pytest.fixture
def problem(rng):
    """Rows, weights, a start; float32."""
    N = 45
    x = rng.normal(size=(N, 3)).astype(np.float32)
    y = (x @ [1.0, -2.0, 0.5] + 0.3 + 0.01 * rng.normal(size=N)).astype(np.float32)
    params = {"w": jnp.zeros(3), "b": jnp.zeros(())}
    return {"x": x, "y": y}, np.ones(N, np.float32), params


CONTEXT = {"ridge": np.float32(0.0)}


def run(problem, **options):
    data, weight, params = problem
    options = {"key": jax.random.key(0), "batch_size": 10, "learning_rate": 0.1, **options}
    loss, context = options.pop("loss", least_squares), options.pop("context", CONTEXT)
    params = options.pop("params", params)
    training = {name: options.pop(name) for name in Training._fields if name in options}
    objective = Objective(loss, data, weight, context)
    return minimize(objective, params, training=Training(**training), **options)


def squares(problem, context=CONTEXT):
    data, weight, _ = problem
    return Objective(least_squares, data, weight, context)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def test_minimize_finds_the_minimum(problem):
    found = run(problem, max_iter=60, n_iter_no_change=None)
    np.testing.assert_allclose(found.params["w"], [1.0, -2.0, 0.5], atol=0.02)
    assert found.losses.shape == (60,)
    assert found.losses[-1] < 1e-3 * found.losses[0]
    assert found.finite
    assert len(found.validation_losses) == 0


def test_deterministic_for_a_key(problem):
    first, again, other = (run(problem, max_iter=3, key=jax.random.key(k)) for k in (0, 0, 1))
    assert same(first.params, again.params)
    assert not same(first.params, other.params)
    np.testing.assert_array_equal(first.losses, again.losses)


def test_every_epoch_has_its_own_shuffle(rng):
    orders = gradient._orders(rng, 45, 5, 10, 3).reshape(3, -1)
    np.testing.assert_array_equal(np.sort(orders), np.tile(np.arange(50), (3, 1)))
    assert not np.array_equal(orders[0], orders[1])
    # Rows of padding come last.
    assert np.all(orders[:, 45:] >= 45)


@pytest.mark.parametrize("batch_size", [44, 45, 1000])
def test_a_last_batch_of_one_row_or_one_batch_for_all(problem, batch_size):
    found = run(problem, batch_size=batch_size, max_iter=2)
    assert np.isfinite(found.losses).all()


def test_padding_rows_and_rows_without_weight_have_no_effect(problem):
    # In one batch the order does not matter, so the same rows with others of weight 0 among them
    # must take the same steps.
    data, weight, params = problem
    spoiled = {key: np.concatenate([x, np.full_like(x[:7], 50)]) for key, x in data.items()}
    more = np.concatenate([weight, np.zeros(7, np.float32)])
    a = run((data, weight, params), batch_size=1000, max_iter=5)
    b = run((spoiled, more, params), batch_size=1000, max_iter=5)
    np.testing.assert_allclose(a.params["w"], b.params["w"], rtol=1e-5)
    np.testing.assert_allclose(a.losses, b.losses, rtol=1e-5)


def test_reported_loss_is_that_of_the_rows_whatever_the_batches(problem):
    # At a rate of nearly 0 the parameters stay where they are: the loss of an epoch is the loss,
    # although the last batch has 5 rows instead of 10.
    data, weight, params = problem
    weight = np.linspace(0, 3, len(weight)).astype(np.float32)
    exact = value_of(params, data, weight, CONTEXT)
    found = run((data, weight, params), learning_rate=1e-12, max_iter=1)
    np.testing.assert_allclose(found.losses, float(exact), rtol=1e-5)


def test_early_stopping_returns_the_best_parameters(problem):
    # The held-out target is a third of the other: the way to one leads past the other.
    data, weight, _ = problem
    held_out = {"x": data["x"][:20], "y": data["y"][:20] / 3}
    seen = []

    def on_epoch(epoch, train, validation, params):
        seen.append(params)
        return False

    found = run(
        problem,
        max_iter=12,
        learning_rate=0.02,
        n_iter_no_change=None,
        chunk=1,
        on_epoch=on_epoch,
        validation=(held_out, weight[:20], CONTEXT),
    )
    best = int(np.argmin(found.validation_losses))
    assert 0 < best < 11, "the test would not notice"
    assert same(found.params, seen[best])
    value = value_of(found.params, held_out, weight[:20], CONTEXT)
    np.testing.assert_allclose(value, found.validation_losses[best], rtol=1e-5)


def test_stops_after_n_iter_no_change(problem):
    found = run(problem, learning_rate=1e-12, max_iter=50, n_iter_no_change=3, chunk=1, tol=1e-6)
    assert found.converged
    assert len(found.losses) == 4
    assert not run(problem, max_iter=3, n_iter_no_change=None).converged


@pytest.mark.parametrize("max_iter", [1, 10, 13])
def test_exactly_max_iter_epochs(problem, max_iter):
    found = run(problem, max_iter=max_iter, n_iter_no_change=None)
    assert found.losses.shape == (max_iter,)
    assert np.isfinite(found.losses).all()


@pytest.mark.parametrize("validated", [False, True])
def test_a_loss_that_is_not_finite_keeps_the_last_finite_parameters(problem, validated):
    data, weight, _ = problem
    context = {"edge": np.float32(0.0)}
    validation = ({key: x[:5] for key, x in data.items()}, weight[:5], context)
    found = run(
        problem,
        loss=root,
        params={"w": jnp.array([1.0])},
        context=context,
        batch_size=1000,
        max_iter=40,
        learning_rate=0.2,
        n_iter_no_change=None,
        validation=validation if validated else None,
    )
    assert not found.finite
    assert np.isfinite(found.params["w"]).all()
    assert 0 <= found.params["w"][0] < 1
    # The curve ends where the training did.
    assert len(found.losses) < 40
    assert np.isfinite(found.losses[:-1]).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found.state))


def test_a_last_step_into_the_void_is_taken_back(problem):
    # No loss of the training is evaluated after the last step.
    found = run(
        problem,
        loss=root,
        params={"w": jnp.array([1.0])},
        context={"edge": np.float32(0.0)},
        batch_size=1000,
        max_iter=1,
        transformation=optax.sgd(10.0),
    )
    assert not found.finite
    np.testing.assert_array_equal(found.params["w"], [1.0])


def test_rows_of_equal_weight_count_alike_in_batches_of_any_size(problem):
    # 41 rows in batches of 10: at a small rate an epoch is one step along the full gradient, in
    # which the row that is left over counts like every other.
    data, weight, params = problem
    data, weight = {key: x[:41].copy() for key, x in data.items()}, weight[:41]
    data["y"][:] = 0
    data["y"][7] = 100.0
    slope = slope_of(params, data, weight, CONTEXT)
    for seed in range(3):
        found = run(
            (data, weight, params),
            transformation=optax.sgd(1e-4),
            max_iter=1,
            max_gradient_norm=1e9,
            key=jax.random.key(seed),
        )
        step = -1e-4 * slope["w"] * 4.1
        np.testing.assert_allclose(found.params["w"], step, rtol=0.01)


def test_a_loss_that_is_never_finite_returns_the_start(problem):
    found = run(problem, context={"ridge": np.float32(np.nan)}, max_iter=5)
    assert not found.finite
    assert not np.any(found.params["w"])


def test_a_transformation_of_the_user_is_used_as_it_is(problem):
    # One full batch of gradient descent with its own rate, by hand.
    data, weight, params = problem
    found = run(
        problem, transformation=optax.sgd(0.1), batch_size=1000, max_iter=1, learning_rate=123.0
    )
    slope = slope_of(params, data, weight, CONTEXT)
    np.testing.assert_allclose(found.params["w"], -0.1 * slope["w"], rtol=1e-4)


def test_a_stateful_transformation_goes_on_from_its_state(problem):
    momentum = optax.sgd(0.01, momentum=0.9)
    options = {"transformation": momentum, "batch_size": 1000}
    both = run(problem, max_iter=2, **options)
    first = run(problem, max_iter=1, **options)
    second = run(problem, max_iter=1, params=first.params, state=first.state, **options)
    np.testing.assert_allclose(second.params["w"], both.params["w"], rtol=1e-5)


def test_the_gradient_is_clipped(problem):
    found = run(
        problem, transformation=optax.sgd(1.0), batch_size=1000, max_iter=1, max_gradient_norm=1e-3
    )
    np.testing.assert_allclose(optax.tree.norm(found.params), 1e-3, rtol=1e-4)


def test_learning_rate_warms_up_and_decays():
    steps = np.arange(100)
    factor = np.array(
        [gradient.learning_rate_at(jnp.asarray(s), jnp.asarray(100.0)) for s in steps]
    )
    assert np.all(np.diff(factor[:5]) > 0)
    np.testing.assert_allclose(factor.max(), 1, atol=0.01)
    assert np.all(np.diff(factor[6:]) < 0)
    assert 0 <= factor[-1] < 0.01
    assert gradient.learning_rate_at(jnp.asarray(50), jnp.asarray(0.0)) == 1


def test_numbers_are_traced(problem):
    # A grid over rates, penalties, epochs and folds of nearly equal length is one program.
    data, weight, params = problem
    run(problem, max_iter=2)
    before = n_compiled()
    for rate, ridge, max_iter, n_rows in [(0.1, 0, 2, 45), (0.2, 1, 3, 44), (0.3, 2, 12, 41)]:
        rows = {key: x[:n_rows] for key, x in data.items()}
        run(
            (rows, weight[:n_rows], params),
            learning_rate=rate,
            max_iter=max_iter,
            context={"ridge": np.float32(ridge)},
        )
    assert n_compiled() == before


def test_on_epoch_can_stop(problem):
    calls = []

    def on_epoch(epoch, train, validation, params):
        calls.append(epoch)
        return epoch == 3

    found = run(problem, max_iter=20, chunk=1, on_epoch=on_epoch, n_iter_no_change=None)
    assert calls == [1, 2, 3]
    assert len(found.losses) == 3
    assert found.converged


def test_lbfgs_solves_least_squares(problem):
    data, weight, params = problem
    context = {"ridge": np.float32(0.01)}
    found = minimize_lbfgs(squares(problem, context), params, max_iter=50, tol=1e-4)
    x = np.column_stack([data["x"], np.ones(len(weight))]).astype(np.float64)
    penalty = np.diag([0.01, 0.01, 0.01, 0])
    exact = np.linalg.solve(x.T @ x / len(x) + penalty, x.T @ data["y"] / len(x))
    np.testing.assert_allclose(found.params["w"], exact[:3], atol=1e-4)
    assert found.converged
    assert found.finite
    assert len(found.losses) < 50
    assert np.all(np.diff(found.losses) <= 1e-6)


def test_lbfgs_says_when_it_did_not_converge(problem):
    _data, _weight, params = problem
    found = minimize_lbfgs(squares(problem), params, max_iter=50, tol=0.0)
    assert not found.converged
    assert found.losses.shape == (50,)


def test_lbfgs_that_is_never_finite_returns_the_start(problem):
    _data, _weight, params = problem
    context = {"ridge": np.float32(np.nan)}
    found = minimize_lbfgs(squares(problem, context), params, max_iter=50)
    assert not found.finite
    assert not found.converged
    assert not np.any(found.params["w"])


def test_lbfgs_stops_at_an_edge_with_finite_parameters(problem):
    data, weight, _ = problem
    params = {"w": jnp.array([1.0])}
    context = {"edge": np.float32(0.0)}
    found = minimize_lbfgs(Objective(root, data, weight, context), params, max_iter=20, tol=1e-9)
    assert np.isfinite(found.params["w"]).all()
    assert not (found.converged and found.finite), "there is no minimum to converge to"


def test_lbfgs_traces_its_numbers(problem):
    _data, _weight, params = problem
    before = None
    minimize_lbfgs(squares(problem), params, max_iter=50, tol=1e-4)
    before = n_compiled()
    minimize_lbfgs(squares(problem, {"ridge": np.float32(1)}), params, max_iter=50, tol=1e-2)
    assert n_compiled() == before


def test_tables_of_less_than_a_batch_share_a_program(problem):
    (data, weight, params), before = problem, n_compiled()
    for N in (45, 44, 40):
        part = {name: values[:N] for name, values in data.items()}
        run((part, weight[:N], params), batch_size=200, max_iter=2)
    assert n_compiled() - before <= 2
