"""Which points of a grid of chains a search tries, and in what order."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from sktn.backend import with_config
from sktn.chains.search.points import Search, basis_of, design_of
from sktn.solvers.problem import Clock

# Bases that tell, the best with equal relevances first, whether others are worth a search for them.
_TELLING_BASES = 2
# What a task says that was not begun.
_STOPPED = "stopped"


@dataclass(frozen=True)
class Exploration:
    """A search through a grid, with the bases, strengths, bond dimensions and threads of a
    cross-validated model, until the time is over."""

    search: Search
    model: Any
    clock: Clock

    def of(self, grid):
        """Designs that a first look finds promising, in the convex limit, then the bond dimensions
        below the largest.

        -> points, scores (M, N, c), losses (M,), candidates for the average
        """
        for scaling, degree in dict.fromkeys(map(basis_of, grid)):
            self.search.add_basis(scaling, degree)
        n_alphas, rough = len(self.model.alphas), self._rough()
        equal = [p for p in grid[::n_alphas] if p["relevance"] == "equal"]
        wanted = [p for p in grid[::n_alphas] if p["relevance"] == "auto"]
        found = self._with_relevant(wanted, rough, self._paths(self._promising(equal)))
        # Neighbouring strengths of one design differ too little to be worth an average.
        candidates = found[2].reshape(-1, n_alphas).argmin(axis=1)
        candidates += np.arange(len(candidates)) * n_alphas
        # Sweeps, which find the best of a bond dimension, would bring higher interactions back.
        smaller = [] if self.search.estimator._max_order else sorted(self.model.bond_dims)[:-1]
        if not smaller or self.clock.over():
            return *found, candidates
        return self._with_smaller_bonds(*found, candidates, smaller)

    def _rough(self):
        """The designs whose degrees are for the data to say, where they say any."""
        bases = [tuple(basis) for basis in self.model.bases if basis[1] == "auto"]
        if not bases or self.clock.over():
            return []
        self.clock.say("smooth and rough parts of the columns")
        model = self.search.estimator
        points = [
            {
                "scaling": scaling,
                "degree": degree,
                "interaction_penalty": float(model.interaction_penalty),
                "smoothness": float(model.smoothness),
                "relevance": "auto",
                "alpha": 1.0,
                "bond_dim": int(max(self.model.bond_dims)),
            }
            for scaling, degree in dict.fromkeys(bases)
        ]
        return [point for point in points if self.search.add_roughness(point, self.clock.over)]

    def _with_relevant(self, wanted, rough, equal):
        """What was found with equal relevances and, where they are decisively better, designs with
        others and of rough parts. Where the two best bases have none, others are not asked for,
        nor is the second, where paths are cheap, once the first has lost in a share.

        equal: points, scores (M, N, c), losses (M,) -> the same, and more
        """
        n_alphas, (grid, scores, losses), alone = len(self.model.alphas), equal, not equal[0]
        ranks = {}
        for i in np.argsort(losses, kind="stable"):
            ranks.setdefault(basis_of(grid[i]), len(ranks))
        bases = dict.fromkeys(map(basis_of, wanted))
        bases = sorted(bases, key=lambda basis: ranks.get(basis, len(ranks)))
        # Where designs are looked at first, those of two bases are compared.
        single = not (alone or self.search.look_pays or self.search.quadratic)
        first = len(bases) if alone else 1 if single else _TELLING_BASES
        ends = [0, first, max(first, _TELLING_BASES), len(bases)]
        for start, end in pairwise(ends):
            part = bases[start:end]
            if not (part or rough):
                continue
            # Whatever the time, there is one path.
            if grid and self.clock.over():
                break
            points = [point for point in wanted if basis_of(point) in part]
            rival = None if alone else scores[int(np.argmin(losses))]
            points, rough = self._with_relevances(points, rival) + rough, []
            if not points or (grid and self.clock.over()):
                break
            more, *parts = self._paths(self._promising(points))
            if not alone:
                more, *parts = self.search.decisive(n_alphas, equal, (more, *parts))
            grid = grid + more
            scores, losses = (
                np.concatenate(pair) for pair in zip((scores, losses), parts, strict=True)
            )
            if not more and not (single and not start):
                break
        return grid, scores, losses

    def _with_relevances(self, points, rival):
        """Those of the points for which there are relevances.

        rival: out-of-fold scores (N, c) of the best with equal ones, None where there are none
        """
        if not points:
            return []
        self.clock.say("relevances")
        asked = {
            basis_of(point): (point, self.model.alphas, rival, self.clock.over) for point in points
        }
        asked = list(asked.values())
        for part in (asked[:1], asked[1:]):
            # Others begin at those of the first basis.
            self._each(self.search.find_relevances, part)
        return [point for point in points if basis_of(point) in self.search.factors]

    def _promising(self, designs):
        """The designs that are worth a path of strengths."""
        if not self.search.look_pays or len(designs) < 2:
            return designs
        self.clock.say(f"a look at {len(designs)} designs")
        looks = self._each(self.search.look, [(point,) for point in designs])
        return [designs[i] for i in self.search.promising(looks)]

    def _paths(self, designs):
        """All strengths of designs in the convex limit, as many as the time allows.

        -> points, scores (M, N, c), losses (M,)
        """
        self.clock.say(f"{len(designs)} designs x {len(self.model.alphas)} strengths")
        items = [(point, self.model.alphas) for point in designs]
        paths = self._each(self.search.path, items)
        if not paths:
            shape = 0, len(self.search.rows), self.search.n_scores
            return [], np.zeros(shape, np.float32), np.zeros(0)
        scores, losses = (np.concatenate(part) for part in zip(*paths, strict=True))
        losses[np.isnan(losses)] = np.inf  # of what diverged
        designs = designs[: len(paths)]
        points = [
            {**point, "alpha": float(alpha * unit)}
            for point, unit in zip(designs, map(self.search.unit, designs), strict=True)
            for alpha in self.model.alphas
        ]
        return points, scores, losses

    def _with_smaller_bonds(self, points, scores, losses, candidates, bond_dims):
        """What was found and chains of smaller bond dimensions: of the best design of the two best
        bases; where one of them is better than without a bound by a standard error, of the other
        bases; and of the next best of bases where it is. There it is for other designs, too, and
        their average is better than each.

        points, scores (M, N, c), losses (M,), candidates -> the same, and more
        """
        self.clock.say(f"bond dimensions {bond_dims}")
        ranked = {}
        for i in sorted(candidates, key=losses.__getitem__):
            ranked.setdefault(basis_of(points[i]), []).append(i)
        bases, gained = list(ranked), {}
        telling, others = bases[:_TELLING_BASES], bases[_TELLING_BASES:]
        for rank, part in ((0, telling), (0, others), (1, gained)):
            if part is not telling and (not gained or self.clock.over()):
                break
            asked = [ranked[basis][rank] for basis in part if len(ranked[basis]) > rank]
            asked = [(i, bond_dim) for i in asked for bond_dim in bond_dims]
            paths = [self._smaller(points, i, bond_dim) for i, bond_dim in asked]
            limits = [self.search.fold_losses(scores[i]) for i, _ in asked]
            found = self._each(self.search.chain_path, list(zip(paths, limits, strict=True)))
            for path, (i, _), (more, their_losses) in zip(paths, asked, found, strict=False):
                best = int(np.argmin(their_losses))
                if np.isfinite(their_losses[best]):
                    candidates = np.append(candidates, len(points) + best)
                    gain, error = self.search.gain(scores[i], more[best])
                    if gain > error:
                        gained[basis_of(path[0])] = True
                points, scores = points + path, np.concatenate([scores, more])
                losses = np.append(losses, their_losses)
        return points, scores, losses, candidates

    def _smaller(self, points, i, bond_dim):
        """The path of a smaller bond dimension: from the best strength of a design, at point i, to,
        warm-started, weaker ones."""
        own = [point["alpha"] for point in points if design_of(point) == design_of(points[i])]
        weaker = sorted((a for a in own if a <= points[i]["alpha"]), reverse=True)
        return [
            {**points[i], "alpha": float(alpha), "bond_dim": int(bond_dim)} for alpha in weaker[:4]
        ]

    def _each(self, function, items):
        """function(*item) of all items in threads; those that begin when the time is over are left
        out, but for the first."""
        function = with_config(function)

        def one(k, item):
            return _STOPPED if k and self.clock.over() else function(*item)

        found = Parallel(n_jobs=self.model.n_jobs, prefer="threads")(
            delayed(one)(k, item) for k, item in enumerate(items)
        )
        done = [k for k, part in enumerate(found) if isinstance(part, str) and part == _STOPPED]
        return found[: done[0]] if done else found
