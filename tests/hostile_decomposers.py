"""Every decomposer and imputer of tensors of the generated cases with any of its options."""

import numpy as np
from hostile_inputs import SEEDS, pick, some

import sktn


def search_options(rng, callback=True):
    told = {"callback": [[].append]} if callback else {}
    return some(
        rng,
        0.2,
        target_error=[0.0, 1e-6, 0.3, 0.5, 1.0],
        time_limit=[1e-3, 0.05],
        tensor_shape=[[2, -1], [3, 2], [-1], [7], [-1, -1]],
        verbose=[1],
        random_state=[*SEEDS, None],
        **told,
    )


def rgtn_decomposer(rng, order):
    bonds = rng.integers(1, 4, (order, order))
    names = "reduction", "tomography", "information", "race", "random_starts"
    switches = some(rng, 0.5, **{name: [False] for name in names})
    searches = ["paper", sktn.RGSearch(**switches, n_cycles=int(rng.integers(3)))]
    options = search_options(rng) | some(
        rng,
        0.2,
        max_parameters=[1, 30, 10**9],
        bond_dims=[np.maximum(bonds, bonds.T), np.full((order, order), 999), [[1]]],
        ordered_modes=["auto", [0], [-1], [], [99]],
        fold=[None, "auto", [[2, 2]] * order],
        search=searches,
    )
    return sktn.RGTNDecomposer(
        **{"random_state": 0, "search": sktn.RGSearch(n_cycles=3), **options}
    )


def tt_decomposer(rng, order):
    options = search_options(rng, callback=False)
    options.pop("time_limit", None)
    return sktn.TTDecomposer(**{"random_state": 0, **options})


def rgtn_imputer(rng, order):
    # A growth of one scale and few steps costs a hundredth of the default, which is drawn, too.
    few = {"n_growths": 1, "n_scales": 1, "max_steps": 2, "ridge": 0.01}
    options = (few if rng.random() < 0.97 else {}) | some(
        rng,
        0.2,
        ordered_modes=["auto", [], [-1], [0, 1], [0.5]],
        smoothness=["auto", 0.0, 1e-12, 100.0, 1e300],
        residual=[False],
        n_growths=[1, 2],
        n_scales=[1, 2],
        validation_fraction=["auto", 0.3, 1e-9, 0.99],
        growth=[0.1, 1e-9, 1e6],
        n_sweeps=[1],
        patience=[1],
        ridge=["auto", 0.0, 1e6],
        keep_empty_features=[False],
        add_indicator=[True],
        time_limit=[1e-3, 0.05],
        max_steps=[0, 3],
        callback=[[].append],
        verbose=[True],
        random_state=[*SEEDS, None],
    )
    return sktn.RGTNImputer(**{"random_state": 0, **options})


def completer(rng, n_modes):
    ranges = [(-1.0, 1.0), [0, None], (None, 1e300), (0.0, np.inf)]
    if rng.random() < 0.1:
        ranges = [(1.0, 0.0), (1.0,), ("a", "b"), (np.nan, 1.0)]
    options = some(
        rng,
        max_steps=[0, 4],
        n_sweeps=[1, 3],
        validation_fraction=[1e-9, 0.5, 0.999],
        value_range=ranges,
        time_limit=[1e-3, 0.05],
        callback=[[].append],
        verbose=[True],
        random_state=[*SEEDS, None],
    )
    return sktn.RGTNCompleter(**{"max_steps": 2, "n_sweeps": 1, "random_state": 0, **options})


def tensor_regressor(rng, n):
    bonds = rng.integers(1, 4, (n, n))
    options = some(
        rng,
        alpha=["auto", 0.0, 1e-300, 1.0, 1e300],
        bond_dims=[[[1]], np.maximum(bonds, bonds.T), np.full((2, 2), 999), "many"],
        tensor_shape=[(1, n), (n, 1), (2, -1), (-1, 1, 2), (-1, -1)],
        validation_fraction=[1e-9, 0.5, 0.999],
        time_limit=[1e-3, 0.05],
        verbose=[True],
        random_state=[*SEEDS, None],
    )
    return sktn.RGTNRegressor(**{"random_state": 0, **options})


def fixed_graph(rng, order):
    """A network of a given graph, and its ranks."""
    make = pick(rng, [sktn.TRDecomposer, sktn.FCTNDecomposer])
    bonds = rng.integers(1, 4, (order, order))
    ranks = [1, 2, 999, [2] * order, [999] * order, np.maximum(bonds, bonds.T), bonds, "many"]
    options = search_options(rng, callback=False) | some(
        rng, rank=ranks, n_sweeps=[1, 200], tol=[0.0, 1e-5, 1e300], n_init=[1, 2]
    )
    return make(**{"n_sweeps": 5, "random_state": 0, **options})


SEARCHES = {
    sktn.SVDinsTNDecomposer: {
        "max_rank": [1, 3, 1000],
        "gamma": [1e-300, 0.1, 1e300],
        "mu": [0.0, 1e6],
        "n_sweeps": [1, 5],
        "n_tries": [1, 2],
    },
    sktn.GreedyTNDecomposer: {"trial_sweeps": [1, 5], "max_steps": [1, 5]},
    sktn.GeneticTNDecomposer: {
        "penalty": [0.0, 1e300],
        "max_rank": [1, 1000],
        "population": [2, 4],
        "n_generations": [1, 2],
        "mutation": [0.0, 1.0],
    },
    sktn.LocalSearchTNDecomposer: {
        "penalty": [0.0, 1e300],
        "max_rank": [1, 1000],
        "n_iterations": [1, 2],
        "n_samples": [1, 3],
        "radius": [0.0, 1e300],
    },
    sktn.EnumerationTNDecomposer: {
        "penalty": [0.0, 1e300],
        "max_rank": [1, 1000],
        "n_rounds": [1, 2],
        "reach": [1, 3],
    },
}
FEW = {"n_sweeps": 3, "n_tries": 1, "max_steps": 3, "population": 3, "n_generations": 1}
FEW |= {"n_iterations": 1, "n_samples": 2, "n_rounds": 1, "max_rank": 2, "reach": 1}


def other_search(rng, order):
    """One of the searches that ours is compared with, seconds long at most."""
    make = pick(rng, list(SEARCHES))
    own = SEARCHES[make]
    few = {k: v for k, v in FEW.items() if k in own}
    options = search_options(rng) | some(rng, 0.3, **own)
    if options.get("max_rank") == 1000:  # Minutes where the modes carry it.
        options["time_limit"] = 0.05
    return make(**few | {"random_state": 0} | options)
