"""Adam on tables of any length: blocks of rows, in bounded memory.

1. Rows are held out, and a start is found on a few (`Adam.start`).
2. The strength, where it may be chosen, is lowered from that of the convex limit as long as the
   loss of the held-out rows falls, on some rows that stand for all: the convex limit is carried by
   landmarks, and what they cannot follow it takes for noise.
3. Passes over all rows, block after block, along one schedule of the learning rate.

What is best on the held-out rows is kept, so that a training that is cut short by `time_limit`, or
diverges, gives the best that was there.
"""

from math import ceil

import jax
import numpy as np

from sktn.backend import get_config
from sktn.chains import predict
from sktn.solvers import chain_gradient, gradient
from sktn.solvers.problem import Solution

#: Tables of more rows are streamed.
STREAMED_ROWS = 50_000
# Rows held out: the standard error of their mean loss is below a hundredth of it.
_HELD_OUT = 20_000
# Rows of a block at most. Strengths are compared on the rows of one block, of which so many are
# seen for each, repetitions counted.
_BLOCK_ROWS, _TRIAL = 50_000, 100_000
# What the next weaker strength has to gain, as a share of the loss; half a decade between them.
_GAIN, _STEP, _MOST_STEPS = 2e-3, 10**-0.5, 12
# Neighbouring rows that are read together: a memory map gives a page of them at once.
_RUN = 256
# Of `max_memory`: what a block's coordinates and a batch's vectors take, each of which is held a
# few times over (as it is made, padded, and where JAX computes).
_BLOCK_SHARE, _BATCH_SHARE = 1 / 32, 1 / 16


class Streamed:
    """One training. solver: the Adam, with its own parameters; problem, plan: see
    :mod:`sktn.chains.solvers`."""

    def __init__(self, solver, problem, plan):
        self.solver, self.plan, self.problem = solver, plan, problem
        rows = np.flatnonzero(problem.weight > 0)
        n_held_out = min(_HELD_OUT, ceil(solver.validation_fraction * len(rows)))
        held_out = plan.rng.choice(len(rows), n_held_out, replace=False)
        self.held_out = np.sort(rows[held_out])
        self.rows = np.delete(rows, held_out)
        self.judge = self.problem.take(self.held_out)
        numbers = problem.n_sites * (problem.basis.dim + 4 * plan.bond_dim)
        most = get_config()["max_memory"] / 4
        self.batch_size = int(np.clip(_BATCH_SHARE * most / numbers, 1, solver.batch_size))
        row = int(np.prod(self.problem.coords.shape[1:]))
        block = int(np.clip(_BLOCK_SHARE * most / row, self.batch_size, _BLOCK_ROWS))
        self.n_blocks = ceil(len(self.rows) / block)
        # Steps of a block: all are of one size, and share a compiled program.
        self.n_steps = ceil(ceil(len(self.rows) / self.n_blocks) / self.batch_size)
        self.losses, self.best, self.alpha = [], (np.inf, None), problem.alpha
        self.seconds_per_row = None

    def solve(self, previous, on_epoch):
        params, self.orders = self.solver.start(self.problem, self.plan, previous)
        self._judged(params)
        if self.plan.automatic:
            self._choose_strength(params)
            params = self.best[1]
        finite = self._passes(params, on_epoch)
        return Solution(
            self._networks(self.best[1]),
            np.array(self.losses or self.best[:1]),
            finite=finite,
            held_out=self.held_out,
            alpha=self.alpha,
        )

    def _networks(self, params):
        return chain_gradient.networks_of(params, self.orders, self.plan.output_site, self.problem)

    def _judged(self, params):
        """The loss of the held-out rows; the best parameters are kept."""
        judge = self.judge
        scores = [predict.scores(judge.basis, net, judge.coords) for net in self._networks(params)]
        loss = float(np.mean(judge.mean_loss(np.stack(scores))))
        if loss < self.best[0]:
            self.best = loss, params
        return loss

    def _choose_strength(self, params):
        plan = self.plan
        trial = self.problem.take(_blocks(self.rows, self.n_blocks, plan.rng)[0])
        n_passes = max(1, round(_TRIAL / trial.n_rows))
        alpha, least = self.alpha, np.inf
        for _ in range(_MOST_STEPS):
            began = plan.clock.elapsed()
            run = _Run(self, trial.with_alpha(alpha), n_passes)
            for _ in range(n_passes):
                params = run.block(trial, params)
            loss = self._judged(params) if run.finite else np.inf
            plan.clock.say(f"strength {alpha:.3g} on {trial.n_rows} rows: held-out loss {loss:.5f}")
            # The first is compiled, which is no measure of what follows: the last one counts.
            self.seconds_per_row = (plan.clock.elapsed() - began) / (trial.n_rows * n_passes)
            if not loss < (1 - _GAIN) * least:
                break
            least, self.alpha, alpha = loss, alpha, alpha * _STEP
            if plan.clock.over():
                break

    def _passes(self, params, on_epoch):
        """-> whether all was finite"""
        solver, plan, curve = self.solver, self.plan, []
        training = self.problem.with_alpha(self.alpha)
        n_blocks = max(1, ceil(self._affordable() * self.n_blocks))
        run = _Run(self, training, n_blocks)
        for k in range(n_blocks):
            if plan.clock.over():
                break
            if k % self.n_blocks == 0:
                blocks = _blocks(self.rows, self.n_blocks, plan.rng)
            params = run.block(training.take(blocks[k % self.n_blocks]), params)
            self.losses.append(run.loss)
            if not run.finite:
                return False
            over = plan.clock.over()
            if (k + 1) % self.n_blocks == 0 or k + 1 == n_blocks or over:
                curve.append(self._judged(params))
                plan.clock.say(
                    f"pass {(k + 1) / self.n_blocks:.3g} over {len(self.rows)} rows: "
                    f"loss {run.loss:.5f}, held-out loss {curve[-1]:.5f}"
                )
                host = params
                stop = on_epoch is not None and on_epoch(lambda host=host: self._networks(host))
                if stop or over or gradient.stalled(curve, solver.n_iter_no_change, solver.tol):
                    break
        return True

    def _affordable(self):
        """Passes over all rows, as many as the time allows."""
        left, seconds = self.plan.clock.left(), self.seconds_per_row
        if left is None or seconds is None:
            return self.solver.max_iter
        return min(self.solver.max_iter, max(left, 0.0) / (seconds * len(self.rows)))


class _Run:
    """A schedule over so many blocks: its context, how far it is, the optimiser's state."""

    def __init__(self, training, problem, n_blocks):
        plan = training.plan
        self.training, self.n_steps = training, n_blocks * training.n_steps
        self.context = chain_gradient.context_of(problem, training.orders, plan.output_site)
        self.step, self.state, self.loss, self.finite = 0, None, np.nan, True

    def block(self, part, params):
        """One pass over rows that are held -> parameters"""
        training, solver = self.training, self.training.solver
        found = gradient.minimize(
            chain_gradient.objective(part, self.context),
            params,
            int(training.plan.rng.randint(2**31 - 1)),
            solver.training(
                part,
                training.plan.bond_dim,
                batch_size=training.batch_size,
                max_iter=1,
                chunk=1,
            ),
            steps=(self.step, self.n_steps),
            state=self.state,
        )
        self.step += training.n_steps
        self.state, self.loss, self.finite = found.state, float(found.losses[-1]), found.finite
        return jax.tree.map(np.asarray, found.params)


def _blocks(rows, n_blocks, rng):
    """Rows in blocks of equal size, each made of runs of neighbours from all over the table."""
    runs = np.array_split(rows, max(1, len(rows) // _RUN))
    order = rng.permutation(len(runs))
    dealt = np.array_split(np.concatenate([runs[i] for i in order]), n_blocks)
    return [np.sort(block) for block in dealt]
