"""Solvers of chains as values: their own parameters, and how a problem is solved with them.

A solver is given to an estimator by name, for its defaults, or as a value:
``MPSClassifier(solver=Adam(learning_rate=0.01))``; in a grid its parameters are
``solver__learning_rate`` and so on.
"""

from sktn.chains.solvers.exact import ROWS_BEYOND, ChainSolver, Convex, Plan, Sweep
from sktn.chains.solvers.gradient import LBFGS, Adam, split_rows
from sktn.chains.streamed import STREAMED_ROWS

__all__ = [
    "LBFGS",
    "ROWS_BEYOND",
    "SOLVERS",
    "Adam",
    "ChainSolver",
    "Convex",
    "Plan",
    "Sweep",
    "long_table_solver",
    "resolve",
    "split_rows",
]

# Rows that "auto" looks at on tables that are streamed, repetitions counted.
_ROWS_SEEN = 500_000

#: Solvers by name, with their defaults.
SOLVERS = {"convex": Convex, "sweep": Sweep, "adam": Adam, "lbfgs": LBFGS}


def resolve(solver, n_rows):
    """The solver that a parameter means: a value as it is, a name with its defaults; "auto":
    "sweep", for long tables "adam" in as many passes as they need."""
    if solver == "auto":
        if n_rows > STREAMED_ROWS:
            return long_table_solver(n_rows)
        solver = "sweep"
    if isinstance(solver, str):
        return SOLVERS[solver]()
    solver._validate_params()
    return solver


def long_table_solver(n_rows):
    """Adam for a table that is streamed: half a million rows, and at least three passes; steps as
    long as blocks of 500 rows allow, which cost half of those of 200."""
    return Adam(max_iter=max(3, -(-_ROWS_SEEN // n_rows)), batch_size=500)
