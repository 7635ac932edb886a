"""Gradient solvers: tables of similar size share one compiled program, padding changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sktn.solvers import gradient


def squares(params, batch, weight, context):
    residual = batch["x"] @ params["w"] - batch["y"]
    return (
        jnp.sum(weight * residual**2) / jnp.sum(weight)
        + context["ridge"] * params["w"] @ (params["w"])
    )


def regression(rng, n_rows):
    x = rng.normal(size=(n_rows, 3)).astype(np.float32)
    y = (x @ np.array([1.0, -2.0, 0.5], dtype=np.float32)).astype(np.float32)
    return {"w": np.zeros(3, np.float32)}, {"x": x, "y": y}, np.ones(n_rows, np.float32)


def run_adam(params, data, weight, ridge, learning_rate=0.1):
    return gradient.minimize(
        squares, params, data, weight, {"ridge": np.float32(ridge)}, jax.random.key(0),
        batch_size=200, max_iter=200, learning_rate=learning_rate, n_iter_no_change=None,
    )  # fmt: skip


def run_lbfgs(params, data, weight, ridge):
    context = {"ridge": np.float32(ridge)}
    return gradient.minimize_lbfgs(squares, params, data, weight, context, max_iter=100)


solvers = pytest.mark.parametrize(
    ("run", "program"), [(run_adam, gradient._run_epochs), (run_lbfgs, gradient._lbfgs)]
)


@solvers
def test_numbers_and_folds_share_one_program(rng, run, program, caplog):
    program.clear_cache()
    with jax.log_compiles():
        for n_rows in (162, 163):
            for ridge in (0.0, 0.1):
                run(*regression(rng, n_rows), ridge)
    compiled = [text for text in caplog.messages if f"Compiling jit({program.__name__})" in text]
    assert len(compiled) == 1


@solvers
def test_padding_rows_change_nothing(rng, run, program):
    ridge = 0.1
    params, data, weight = regression(rng, 50)
    x, y = data["x"].astype(np.float64), data["y"].astype(np.float64)
    exact = np.linalg.solve(x.T @ x / 50 + ridge * np.eye(3), x.T @ y / 50)
    np.testing.assert_allclose(run(params, data, weight, ridge).params["w"], exact, atol=2e-3)


@solvers
def test_repetitions_are_weights(rng, run, program):
    params, data, weight = regression(rng, 40)
    weight = weight * (1 + np.arange(40) % 3)
    repeated = jax.tree.map(lambda a: np.repeat(a, weight.astype(int), axis=0), data)
    a = run(params, data, weight, 0.1).params["w"]
    b = run(params, repeated, np.ones(len(repeated["y"]), np.float32), 0.1).params["w"]
    np.testing.assert_allclose(a, b, atol=2e-3)
