"""Gradient solvers: mini-batches on optax, compiled as one scan over a chunk of epochs; L-BFGS.

Both minimise an `Objective`: `loss(params, batch, weight, context)`, where `batch` is a pytree of
rows, `weight` (b,) their weights (0 for padding) and `context` a pytree of everything else: penalty
strengths, bases, site indices. Numbers in `context` are traced, so that a grid over them compiles
once. `loss` is a static argument: pass module-level functions, since a new closure compiles anew.

Derivatives need JAX, whatever the executor of the rest. On several devices the rows of a batch are
divided among them.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sktn.backend import bucket, get_jax_executor


class Objective(NamedTuple):
    """What is minimised.

    loss : callable, `loss(params, batch, weight, context) -> ()`, at module level
    data : pytree of arrays (N, ...)
    weight : array (N,)
    context : pytree, passed through
    """

    loss: Callable
    data: object
    weight: np.ndarray
    context: object


class Training(NamedTuple):
    """How it is minimised.

    max_iter : epochs
    transformation : optax.GradientTransformation; None: Adam with warm-up and cosine decay of
        `learning_rate`. Anything else is used as it is, its own learning rate included
    n_iter_no_change : epochs without an improvement by `tol` after which it ends; None: never
    chunk : epochs in one compiled call; stopping is decided between calls
    """

    batch_size: int = 200
    max_iter: int = 100
    learning_rate: float = 0.01
    transformation: object = None
    max_gradient_norm: float = 10.0
    n_iter_no_change: int | None = 10
    tol: float = 1e-4
    chunk: int = 10


#: `steps` of a training that goes on from batch to batch: no warm-up and no decay.
CONSTANT_RATE = 0, 0


class Result(NamedTuple):
    """What a solver returns.

    params : the best parameters seen (by the validation loss, if there is one)
    losses : (epochs,) training loss of every epoch
    validation_losses : (epochs,) or empty
    converged : whether it stopped before `max_iter`
    finite : False when it was stopped by a loss that is not finite
    rose : whether the training loss ended by more than `tol` above where it began, so that the best
        epoch's parameters are taken though nothing was held out
    state : optimiser state, to go on from
    """

    params: object
    losses: np.ndarray
    validation_losses: np.ndarray
    converged: bool
    finite: bool
    rose: bool
    state: object


# Step and finiteness before the first. Arrays: Python's numbers make other programs.
_FRESH = np.asarray(0, np.int32), np.asarray(True)


class _Progress(NamedTuple):
    params: object
    # Where the last epoch began: its losses say that they are finite there, while the parameters at
    # its end have not been tried yet.
    tried: object
    opt_state: object
    step: jax.Array
    best_params: object
    best: jax.Array
    finite: jax.Array


@cache
def adam():
    """The default transformation: Adam without its learning rate, which the schedule sets. One
    object, so that all fits of a process share their compiled programs."""
    import optax  # a quarter of the package's import time

    return optax.scale_by_adam(b2=0.99)


def _norm(tree):
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


def learning_rate_at(step, n_steps):
    """Linear warm-up over the first 5 % of the steps, then a cosine to 0, as a factor; 1 throughout
    where n_steps = 0.

    step (), n_steps () -> ()
    """
    warmup = jnp.maximum(1.0, 0.05 * n_steps)
    share = jnp.clip((step - warmup) / jnp.maximum(n_steps - warmup, 1.0), 0.0, 1.0)
    factor = jnp.minimum((step + 1.0) / warmup, 0.5 * (1 + jnp.cos(jnp.pi * share)))
    return jnp.where(n_steps > 0, factor, 1.0)


def pad_rows(tree, n_rows, multiple):
    """Arrays of rows, zero-padded to a multiple of `multiple` (NumPy, outside jit)."""
    size = -(-n_rows // multiple) * multiple
    return jax.tree.map(
        lambda x: np.pad(x, [(0, size - n_rows)] + [(0, 0)] * (np.ndim(x) - 1)), tree
    )


def _run_epochs(progress, rows, epochs, validation, context, settings, *, loss, transformation):
    """A chunk of E epochs, of which those that are `live` take place; returns their losses and
    whether all was finite.

    rows: padded data and weight (N,), 0 on the padding; epochs: orders (E, batches, b) row numbers
    and live (E,)
    """
    (data, weight), (orders, live) = rows, epochs
    scheduled = transformation is None
    transformation = adam() if scheduled else transformation

    def loss_of_batch(params, rows):
        return loss(params, jax.tree.map(lambda x: x[rows], data), weight[rows], context)

    def train_batch(carry, rows):
        # Batches of padding alone, which fill up their number, take no time and move nothing.
        nothing = (carry, jnp.zeros((), dtype))
        return jax.lax.cond(weight[rows].sum() > 0, move, lambda *_: nothing, carry, rows)

    def move(carry, rows):
        params, opt_state, step = carry
        value, gradient = jax.value_and_grad(loss_of_batch)(params, rows)
        # The loss is a mean over the batch: a batch that weighs less than others, as the last one
        # may, must move the parameters less.
        batch_weight = jnp.sum(weight[rows])
        share = batch_weight / settings["batch_weight"]
        gradient = jax.tree.map(lambda g: g * share.astype(g.dtype), gradient)
        norm = _norm(gradient)
        shrink = jnp.minimum(1.0, settings["max_gradient_norm"] / jnp.maximum(norm, 1e-30))
        gradient = jax.tree.map(lambda g: g * shrink.astype(g.dtype), gradient)
        updates, opt_state = transformation.update(gradient, opt_state, params)
        if scheduled:
            rate = -settings["learning_rate"] * learning_rate_at(step, settings["n_steps"])
            updates = jax.tree.map(lambda u: u * rate.astype(u.dtype), updates)
        params = jax.tree.map(lambda p, u: p + u, params, updates)
        return (params, opt_state, step + 1), (value * batch_weight).astype(dtype)

    def epoch(progress, batches):
        start = (progress.params, progress.opt_state, progress.step)
        (params, opt_state, step), values = jax.lax.scan(train_batch, start, batches)
        train_loss = jnp.sum(values) / jnp.sum(weight)
        monitored = train_loss if validation is None else loss(params, *validation)
        ok = progress.finite & jnp.isfinite(train_loss) & jnp.isfinite(monitored)
        for leaf in jax.tree.leaves(params):
            ok = ok & jnp.all(jnp.isfinite(leaf))
        better = ok & (monitored < progress.best)

        def keep(new, old):
            return jax.tree.map(lambda a, b: jnp.where(ok, a, b), new, old)

        best_params = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), params, progress.best_params
        )
        progress = _Progress(
            keep(params, progress.tried),
            keep(progress.params, progress.tried),
            keep(opt_state, progress.opt_state),
            step,
            best_params,
            jnp.where(better, monitored, progress.best),
            ok,
        )
        return progress, (train_loss, monitored, ok)

    def epoch_or_nothing(progress, xs):
        nothing = (progress, (*2 * [jnp.full((), jnp.nan, dtype)], progress.finite))
        return jax.lax.cond(xs[1], epoch, lambda *_: nothing, progress, xs[0])

    dtype = progress.best.dtype
    progress, history = jax.lax.scan(epoch_or_nothing, progress, (orders, live))
    if validation is None:
        # Nobody has tried the last step yet.
        ok = progress.finite & jnp.isfinite(loss_of_batch(progress.params, orders[0, 0]))
        params = jax.tree.map(lambda a, b: jnp.where(ok, a, b), progress.params, progress.tried)
        progress = progress._replace(params=params, finite=ok)
    return progress, history


def _orders(rng, n_rows, n_batches, batch_size, n_epochs):
    """Row numbers of every batch. The padding rows come last, so a batch is whole or the last.

    -> (n_epochs, n_batches, batch_size)
    """
    padding = np.arange(n_rows, n_batches * batch_size)
    orders = [np.concatenate([rng.permutation(n_rows), padding]) for _ in range(n_epochs)]
    return np.stack(orders).astype(np.int32).reshape(n_epochs, n_batches, batch_size)


def minimize(
    objective, params, key, training, *, validation=None, steps=None, state=None, on_epoch=None
):
    """Mini-batch minimisation; deterministic for a given key.

    Parameters
    ----------
    objective : Objective
    params : pytree
    key : int or JAX random key
    training : Training
    validation : (data, weight, context), default=None
        Early stopping on it, and the best parameters are returned. Without it the training
        stops when the training loss no longer falls, and the last parameters are returned, unless
        it rose.
    state : optimiser state to go on from, default=None
    steps : (int, int), default=None
        Batches before this call, and in all calls together, of a training whose schedule goes on
        from call to call, or `CONSTANT_RATE`. None: this call is all there is.
    on_epoch : callable, default=None
        `on_epoch(epoch, train_loss, validation_loss, params) -> bool`, True to stop; the parameters
        are those at the end of the chunk.

    Returns
    -------
    Result
    """
    loss, data, weight, context = objective
    n_rows, max_iter, transformation = len(weight), training.max_iter, training.transformation
    # A single batch of a multiple of 16 rows, or whole batches in one of few numbers, so that
    # tables of similar size (the folds of a cross-validation) share one program.
    in_batch = min(training.batch_size, n_rows)
    batch_size = int(min(training.batch_size, -(-n_rows // 16) * 16))
    n_steps = max_iter * -(-n_rows // batch_size)
    n_batches = bucket(-(-n_rows // batch_size))
    data, weight = pad_rows((data, np.asarray(weight)), n_rows, n_batches * batch_size)
    run = get_jax_executor()
    dtype = np.dtype(jax.tree.leaves(params)[0].dtype)
    settings = {
        "learning_rate": training.learning_rate,
        "n_steps": n_steps if steps is None else steps[1],
        "max_gradient_norm": training.max_gradient_norm,
        # What a whole batch weighs on average.
        "batch_weight": max(weight.sum(), 1e-30) * in_batch / n_rows,
    }
    settings = {name: np.asarray(value, dtype) for name, value in settings.items()}
    params, data, weight, validation, context, settings, step, finite, best = run.put(
        (params, data, weight, validation, context, settings, *_FRESH, dtype.type(np.inf))
    )
    if steps is not None:
        step = run.put(np.asarray(steps[0], np.int32))
    begin = (adam() if transformation is None else transformation).init
    if state is not None and jax.tree.structure(state) != jax.tree.structure(
        jax.eval_shape(begin, params)
    ):
        state = None  # of another optimiser
    if state is None:
        state = run.jit(begin)(params)
    progress = _Progress(params, params, run.put(state), step, params, best, finite)
    run_epochs = run.jit(_run_epochs, static=("loss", "transformation"))
    losses, monitored, converged = [], [], False
    # Drawn here, not on the device: a sort and a generator would be half of the compiled program.
    seed = key if isinstance(key, int) else np.asarray(jax.random.key_data(key))
    rng = np.random.default_rng(seed)
    while len(losses) < max_iter and not converged:
        orders = _orders(rng, n_rows, n_batches, batch_size, training.chunk)
        live = np.arange(training.chunk) < max_iter - len(losses)
        progress, history = run_epochs(
            progress,
            (data, weight),
            (run.put_rows(orders, axis=2), run.put(live)),
            validation,
            context,
            settings,
            loss=loss,
            transformation=transformation,
        )
        done = slice(max_iter - len(losses))
        for value, other, ok in zip(*(np.asarray(x)[done] for x in history), strict=True):
            losses.append(float(value))
            monitored.append(float(other))
            if not ok:
                break
            if on_epoch is not None and on_epoch(len(losses), value, other, progress.params):
                converged = True
        finite = bool(progress.finite)
        stops = stalled(monitored, training.n_iter_no_change, training.tol)
        converged = converged or not finite or stops
    rose = validation is None and finite and losses[-1] > losses[0] + training.tol
    return Result(
        progress.best_params if rose or validation is not None else progress.params,
        np.array(losses),
        np.array(monitored if validation is not None else []),
        converged,
        finite,
        rose,
        progress.opt_state,
    )


def stalled(values, patience, tol):
    """No value of the last `patience` is better than the best before by more than `tol`."""
    if patience is None or len(values) <= patience:
        return False
    return not min(values[-patience:]) < min(values[:-patience]) - tol


def _lbfgs(params, data, weight, context, tol, *, loss, max_iter):
    import optax

    solver = optax.lbfgs(memory_size=20)

    def objective(params):
        return loss(params, data, weight, context)

    value_and_grad = optax.value_and_grad_from_state(objective)

    def step(carry):
        params, state, _, iteration, curve, _ = carry
        value, gradient = value_and_grad(params, state=state)
        updates, state = solver.update(
            gradient, state, params, value=value, grad=gradient, value_fn=objective
        )
        new = optax.apply_updates(params, updates)
        # A slope may be infinite where the loss is not.
        ok = jnp.isfinite(optax.tree.get(state, "value"))
        for leaf in jax.tree.leaves(new):
            ok = ok & jnp.all(jnp.isfinite(leaf))
        # The line search's last finite point is kept.
        new = jax.tree.map(lambda a, b: jnp.where(ok, a, b), new, params)
        size = _norm(gradient)
        return new, state, size, iteration + 1, curve.at[iteration].set(value), ok

    def running(carry):
        return (carry[3] < max_iter) & ((carry[3] == 0) | (carry[2] > tol)) & carry[5]

    dtype = jax.tree.leaves(params)[0].dtype
    start = (
        params,
        solver.init(params),
        jnp.asarray(jnp.inf, dtype),
        0,
        jnp.zeros(max_iter, dtype),
        jnp.asarray(True),
    )
    params, _, size, iterations, curve, ok = jax.lax.while_loop(running, step, start)
    return params, size, iterations, curve, ok


def minimize_lbfgs(objective, params, *, max_iter=500, tol=1e-5):
    """Full-batch L-BFGS with a zoom line search, until the gradient's norm is below `tol`."""
    loss, data, weight, context = objective
    run = get_jax_executor()
    n_rows = len(weight)
    rows = run.put_rows(pad_rows((data, np.asarray(weight)), n_rows, bucket(n_rows, 16)))
    dtype = jax.tree.leaves(params)[0].dtype
    params, context, tol = run.put((params, context, np.asarray(tol, dtype)))
    minimized = run.jit(_lbfgs, static=("loss", "max_iter"))
    params, size, iterations, curve, ok = minimized(
        params, *rows, context, tol, loss=loss, max_iter=max_iter
    )
    losses = np.asarray(curve)[: int(iterations)]
    finite = bool(ok) and bool(np.isfinite(losses).all())
    return Result(params, losses, np.array([]), finite and bool(size <= tol), finite, False, None)
