"""What the points of a grid of chains share: rows, folds, bases, relevances, designs."""

from functools import cached_property

import numpy as np

from sktn.chains.base import ordered
from sktn.chains.folds import search_rows
from sktn.chains.gaps import said_gaps
from sktn.chains.look import (
    LOOK_LANDMARKS,
    LOOK_ROWS,
    look,
    look_landmarks,
    look_loss,
    look_losses,
)
from sktn.chains.roughness import (
    FROM_LOOK,
    POWERS,
    evidence_rows,
    look_at,
    parts_of,
    rows_can_tell,
    table_of,
)
from sktn.chains.selection import clearly_worse, complementary, gain
from sktn.losses import SquaredError
from sktn.solvers import convex, convex_chain
from sktn.solvers.problem import ChainProblem
from sktn.solvers.relevance import (
    FIRST_ROWS,
    FROM_KNOWN,
    MAX_ROWS,
    ROWS_A_COLUMN,
    STAGES,
    few_or_all,
    prior_unit,
    site_variances,
)
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites

# Rows x scores from which a look is cheap beside the path of Newton steps that it may save.
_LOOK_PAYS = 2000
# Designs that it leaves of classes, each of which costs a path of Newton steps.
_MOST_PROMISING = 4


def basis_of(point):
    return point["scaling"], point["degree"]


def design_of(point):
    return tuple(v for k, v in point.items() if k not in ("alpha", "bond_dim"))


def _shares(n_rows, n_folds, n_columns):
    """Into how many shares folds are dealt for relevances: as few as leave the rows that a search
    for them asks for, or two thirds of them, as three folds would."""
    asked = min(max(FIRST_ROWS, ROWS_A_COLUMN * n_columns), 2 * n_rows / 3)
    for n_shares in range(2, n_folds):
        if n_rows * (n_shares - 1) >= asked * n_shares:
            return n_shares
    return n_folds


def _mean_of_shares(found):
    """Of the relevances of shares: S of (n_columns,) -> (n_columns,)"""
    if np.all(found):
        return np.exp(np.log(found).mean(axis=0))
    # Columns that one share alone has found are looked at again.
    return np.mean(found, axis=0)


class Search:
    """The table of a search: its rows, and everything that points of the grid share."""

    def __init__(self, estimator, reading, target, rows, folds, seeds):
        self.estimator, self.rows, self.folds = estimator, rows, folds
        self.reading, self.target, self.seeds = reading, target, seeds
        self.n_landmarks = max(1, estimator.max_landmarks // seeds["share"])
        self.sites, self.factors, self.share_factors, self.final_factors = {}, {}, {}, {}
        # Of the first basis that relevances were found for: what every column adds to the prior's
        # variance in each share.
        self.share_variances = None
        self.rough = None
        loss, numbers = target.loss(np.float32)
        self.n_scores = loss.n_scores(numbers)
        # Looks and evidence are of squared errors: they tell more where the loss is that, too.
        self.quadratic = loss.quadratic

    @cached_property
    def look_rows(self):
        rng = np.random.RandomState(self.seeds["landmarks"])
        return search_rows(self.folds + 1, LOOK_ROWS, rng)

    def add_basis(self, scaling, degree):
        model, weight = self.estimator, self.target.weight[self.rows]
        self.sites[scaling, degree] = make_sites(
            self.reading.X[self.rows],
            weight,
            self.reading.is_nominal,
            embedding=model.embedding,
            degree=degree,
            scaling=scaling,
            missing=said_gaps(model.missing, self.reading, self.target),
            dtype=np.float32,
        )

    def problem(self, point, factors=None):
        """The problem of a point, in single precision: what is compared are whole digits."""
        sites, relevance = self._sites(point, factors)
        loss, numbers = self.target.loss(np.float32)
        weight = self.target.weight[self.rows].astype(np.float32)
        penalty = penalty_weights(
            sites.basis, point["interaction_penalty"], point["smoothness"], relevance
        )
        return ChainProblem(
            sites.basis,
            sites.coords,
            loss,
            numbers[self.rows],
            weight,
            penalty,
            max_order=self.estimator._max_order,
        ).astype(np.float32)

    def _sites(self, point, factors=None):
        """The sites of a point that any share has use for, and their relevances."""
        basis = basis_of(point)
        sites = self.sites[basis]
        if point["relevance"] == "equal":
            return sites, 1.0
        of_all = self.factors.get(basis, factors)
        sites = sites.only(of_all[sites.columns.kept])
        return sites, (of_all if factors is None else factors)[sites.columns.kept]

    def look(self, point):
        """By how much scores out of the fold miss the rows looked at, at the best of all strengths,
        the response taken for numbers: (m, c)"""
        parts = [problem.take(self.look_rows) for problem in self._problems(point)[0]]
        # The same landmarks everywhere: the designs are compared, not the draws.
        rng = np.random.RandomState(self.seeds["landmarks"])
        landmarks = look_landmarks(parts[0].weight, rng)
        return look(parts, self.folds[self.look_rows], landmarks)

    def look_loss(self, missed):
        """Half the mean square of a look: (m, c) -> ()"""
        return look_loss(missed, self._look_weight())

    def _look_weight(self):
        weight = self.target.weight[self.rows[self.look_rows]]
        return weight / weight.sum()

    @property
    def look_pays(self):
        """Whether designs are looked at before their paths are computed."""
        n_rows = len(self.rows)
        rows = min(n_rows, self.n_landmarks)
        if self.quadratic:
            # A path costs as the square of the rows at least.
            return rows >= 1.5 * LOOK_LANDMARKS
        return rows >= 2 * LOOK_LANDMARKS and n_rows * self.n_scores >= _LOOK_PAYS

    def promising(self, looks):
        """The designs to go on with, by their looks, M of (m, c): indices, the best first. Where
        the loss is squared, too, those that the best average of all has; else those that are not
        worse than the best by two standard errors."""
        weight, looks = self._look_weight(), np.asarray(looks, np.float64)
        errors = SquaredError().values(looks, 0.0)
        means = errors @ weight
        order = np.argsort(means, kind="stable")
        if self.quadratic:
            shares = complementary(looks, weight)
            shares[order[0]] = 1.0
            return [int(i) for i in np.argsort(-shares, kind="stable") if shares[i] > 0]
        order = order[:_MOST_PROMISING]
        excess = errors - errors[order[0]]
        deviations = np.sqrt((excess - (excess @ weight)[:, None]) ** 2 @ weight**2)
        return [int(i) for i in order if means[i] - means[order[0]] <= 2 * deviations[i]]

    def decisive(self, n_alphas, equal, found):
        """Of designs with relevances those that are better than the best with equal ones by more
        than a standard error: numbers that the rows chose, one a column, win too easily where few
        rows judge. For squared losses the best of the same basis is what they must beat: an average
        has use for several bases.

        equal, found: points, scores (M, N, c) and losses (M,), `n_alphas` a design -> those of
        `found` that are kept
        """
        (points, scores, losses), (others, more, their_losses) = equal, found
        best, kept = {None: int(np.argmin(losses))}, []
        if self.quadratic:
            for i in np.argsort(losses, kind="stable"):
                best.setdefault(basis_of(points[i]), int(i))
        for start in range(0, len(others), n_alphas):
            own = slice(start, start + n_alphas)
            before = scores[best.get(basis_of(others[start]), best[None])]
            gain, error = self.gain(before, more[own][np.argmin(their_losses[own])])
            kept += [*range(start, start + n_alphas)] if gain > error else []
        return [others[i] for i in kept], more[kept], their_losses[kept]

    def gain(self, before, after, folds=None):
        """By how much out-of-fold scores lose less than others, and the standard error of it:
        before, after (N, c) -> (), ()"""
        judged = np.flatnonzero((self.folds if folds is None else folds) >= 0)
        rows, (loss, numbers) = self.rows[judged], self.target.loss(np.float32)
        lost = [loss.values(part[judged], numbers[rows]).astype(float) for part in (before, after)]
        return gain(*lost, self.target.weight[rows] / self.target.weight[rows].sum())

    def add_roughness(self, point, stop=None):
        """The basis of a point, whose columns have the parts that some rows say, as in a model with
        ``degree="auto"``; those rows are then not judged by.

        stop: `stop() -> bool` -> whether they were found before it is time
        """
        model, weight, basis = self.estimator, self.target.weight, basis_of(point)
        plain = (model.embedding, basis[0]) == ("legendre", "quantile")
        if not plain or not rows_can_tell(weight, self.reading.X.shape[1]):
            return False
        rng = np.random.RandomState(self.seeds["relevance"])
        rows, _ = evidence_rows(self.target, rng)
        table = table_of(model, self.reading, self.target)
        looked = look_at(table, rows, rng, stop)
        if not looked.rough or (stop is not None and stop()):
            return False
        tried = (looked.alone, looked)
        (smooth,), (rough,) = (self._losses_of(table, point, [one]) for one in tried)
        if clearly_worse(rough, smooth, self._look_weight()):
            return False
        found = parts_of(table, rows, rng, stop, looked, FROM_LOOK)
        left = np.where(np.isin(self.rows, rows), -1, self.folds)
        late = stop is not None and stop()
        if late or not found.decisive or len(np.unique(left[left >= 0])) <= self.folds.max():
            return False
        self.folds = left
        candidates = [found.shrunk(power) for power in POWERS]
        errors = self._losses_of(table, point, candidates) @ self._look_weight()
        self.rough = candidates[int(np.argmin(errors))]
        relevance = self.rough.relevance
        self.factors[basis], self.share_factors[basis] = relevance, [relevance]
        return True

    def _losses_of(self, table, point, found):
        """The losses of looks at a point with the parts of the columns that were found: list of k,
        which differ in their relevances alone -> (k, m)"""
        basis, losses = basis_of(point), []
        self.sites[basis] = found[0].sites(table, np.float32, self.rows)
        for one in found:
            self.share_factors[basis] = [one.relevance]
            losses.append(look_losses(self.look(point)))
        return np.array(losses)

    def find_relevances(self, point, alphas, rival=None, stop=None):
        """The relevances of the columns by the basis of a point: for every share of the folds those
        that the other rows say, so that rows which are held out had no say in how they are judged,
        and for the models their mean. Those of the first basis that is asked for are where the
        others begin: the same columns matter, and add as much to the prior's variance.

        rival: out-of-fold scores (N, c) without relevances. None are kept where rows say too
        little, nor of classes where they are worse than the rival in the first share, as found and
        shrunk, nor where `stop() -> bool` says so. Without a rival they are needed.
        """
        needed = rival is None
        if len(self.rows) < FIRST_ROWS and not self.quadratic and not needed:
            # Classes that so few rows are all but separable in: none of them tells what it costs to
            # be wrong and sure.
            return
        rng, equal = np.random.RandomState(self.seeds["relevance"]), self._equal(point)
        columns, found = self.sites[basis_of(point)].columns, []
        n_folds = int(self.folds.max()) + 1
        n_shares = _shares(len(self.rows), n_folds, len(columns.kept))
        share = np.append(convex.design_of_folds(n_folds, n_shares), -1)[self.folds]
        first, variances, power = self.share_variances, [], 1.0
        for k in range(n_shares):
            part = equal.take(np.flatnonzero(share != k))
            unit = np.maximum(site_variances(part), np.finfo(np.float32).tiny)
            known = None if first is None else first[k][columns.kept] / unit
            stages = (STAGES if known is None else FROM_KNOWN)[:1]
            # Half of the rows: the fewer, the more of their relevances is chance.
            most = max(MAX_ROWS, part.n_rows)
            own = few_or_all(part, rng, stages, max_rows=most, known=known, stop=stop)
            late = stop is not None and stop()
            if (late or not own.decisive) and not needed:
                return
            found.append(np.ones(columns.n_columns))
            found[-1][columns.kept] = own.factors
            variances.append(np.ones(columns.n_columns))
            variances[-1][columns.kept] = own.factors * unit
            if not (k or needed or self.quadratic):
                folds = np.where(share == 0, self.folds, -1)
                gains = [
                    self._gain_of_share(point, found[0] ** one, folds, alphas, rival)
                    for one in POWERS
                ]
                if max(gains) < 0:
                    return
                power = POWERS[int(np.argmax(gains))]
        if first is None:
            self.share_variances = variances
        found = [factors**power for factors in found]
        self.share_factors[basis_of(point)] = found
        self.factors[basis_of(point)] = _mean_of_shares(found)

    def _gain_of_share(self, point, factors, folds, alphas, rival):
        """What relevances gain over a rival's scores (N, c) in the folds they may be judged in."""
        problem, unit = self.problem(point, factors), self.unit(point, factors)
        strengths = unit * np.asarray(alphas)
        scores, losses = convex.search(self.design(problem), problem, folds, strengths)
        return self.gain(rival, scores[np.argmin(losses)], folds)[0]

    def refined(self, point):
        """The same point, for squared losses and where few columns matter with the relevances that
        all rows say, from the mean of the shares on: nothing is judged any more."""
        basis = basis_of(point)
        if point["relevance"] == "equal" or point["degree"] == "auto":
            return point
        if not self.quadratic and np.all(self.factors[basis]):
            return point
        if basis not in self.final_factors:
            columns, rng = self.sites[basis].columns, np.random.RandomState(self.seeds["relevance"])
            known, found = self.factors[basis][columns.kept], np.ones(columns.n_columns)
            own = few_or_all(self._equal(point), rng, FROM_KNOWN[1:], known=known)
            found[columns.kept] = own.factors
            self.final_factors[basis] = found
        factors = self.final_factors[basis]
        unit = self.unit(point, factors) / self.unit(point)
        return {**point, "relevance": factors, "alpha": float(point["alpha"] * unit)}

    def unit(self, point, factors=None):
        """What the relevances of a point do to the variance of the prior: strengths are tried in
        units of it."""
        if point["relevance"] == "equal":
            return 1.0
        factors = self.factors[basis_of(point)] if factors is None else factors
        return prior_unit(self.problem(point, factors), self._equal(point))

    def _equal(self, point):
        """The problem that relevances of a point are found for."""
        return self.problem({**point, "interaction_penalty": 1.0, "relevance": "equal"})

    def design(self, problem):
        # The same landmarks everywhere: the combinations are compared, not the draws.
        rng = np.random.RandomState(self.seeds["landmarks"])
        landmarks = convex.choose_landmarks(problem.weight, self.n_landmarks, rng)
        return convex.make_design(problem, landmarks)

    def _problems(self, point):
        """The problems of a point, one for all folds or one for each share of them, and the units
        of their strengths."""
        if point["relevance"] == "equal":
            return [self.problem(point)], np.ones(1)
        factors = self.share_factors[basis_of(point)]
        problems = [self.problem(point, own) for own in factors]
        return problems, np.array([self.unit(point, own) for own in factors])

    def _designs(self, problems):
        return [self.design(problem) for problem in problems]

    def path(self, point, alphas):
        """Out-of-fold scores (A, N, c) and losses (A,) of a design, in the convex limit."""
        problems, units = self._problems(point)
        designs, strengths = self._designs(problems), np.outer(alphas, units)
        return convex.search(designs, problems[0], self.folds, strengths)

    def fold_losses(self, scores):
        """Mean losses of out-of-fold scores in every fold: (N, c) -> (F,)"""
        (loss, numbers), weight = self.target.loss(np.float32), self.target.weight[self.rows]
        lost = weight * loss.values(scores, numbers[self.rows]).astype(np.float64)
        folds = self.folds + 1
        return np.bincount(folds, lost)[1:] / np.bincount(folds, weight)[1:]

    def chain_path(self, path, limits):
        """The same of chains of the bond dimension of a path of points, unless the first fold's
        are worse than its limit: limits (F,)"""
        sites, _ = self._sites(path[0])
        problems, units = self._problems(path[0])
        # Most paths end with their second strength.
        likely = path[min(1, len(path) - 1)]["alpha"] / self.unit(path[0])
        problems = [
            problem.without_negligible(likely * unit)
            for problem, unit in zip(problems, units, strict=True)
        ]
        rng = np.random.RandomState(self.seeds["order"])
        order, output_site = ordered(sites, self.estimator.feature_order, rng, problems[0].weight)
        return convex_chain.search_chains(
            problems,
            self._designs(problems),
            (order, output_site, path[0]["bond_dim"]),
            self.folds,
            np.outer([point["alpha"] / self.unit(path[0]) for point in path], units),
            limits,
            np.random.default_rng(self.seeds["order"]),
        )
