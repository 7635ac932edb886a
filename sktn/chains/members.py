"""The networks of a fitted model, in float64: what all readings start from."""

from dataclasses import dataclass, fields, replace

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sktn.density.estimator import MPSDensityEstimator
from sktn.networks import chain as chains
from sktn.networks.folding import fold, unfold
from sktn.networks.linalg import power_of_two_scale
from sktn.networks.mps import MPS, from_padded
from sktn.networks.tree_readings import scalar_tree
from sktn.tables.basis import embed
from sktn.tables.columns import GroupedColumns


@dataclass(frozen=True, eq=False)
class Member:
    """One network of a model: f_c = offset_c + scale_c * chain_c, entering with a weight."""

    weight: float
    columns: object
    basis: object
    network: MPS
    scale: np.ndarray
    offset: np.ndarray

    def open(self):
        """-> cores (n, D, d, D), readout (D, c, D) before scaling, output_site, order (n,)"""
        network = self.network
        arms, readout = (array.astype(np.float64) for array in network.padded())
        cores = unfold(arms, network.output_site, network.n_sites)
        return cores, readout, network.output_site, network.order

    def outputs(self):
        """Scalar chains of all outputs, the order of their sites, and the mean vectors."""
        cores, readout, p, order = self.open()
        readout = readout * self.scale[:, None]
        parts = [chains.scalar_chain(cores, readout, p, c) for c in range(len(self.scale))]
        return parts, order, self.basis.mean[order].astype(np.float64)

    def whitening(self, order):
        mean, gram = (np.asarray(a, np.float64)[order] for a in (self.basis.mean, self.basis.gram))
        return chains.whitening(mean, gram)

    def column_order(self, order):
        """The model's column at each place along the chain."""
        return self.columns.kept[order]

    def site_vectors(self, X):
        """X (b, n_features) of numbers and codes -> (b, n, d) in float64"""
        return embed(self.basis, self.columns.transform(X.astype(np.float64)))

    def with_cores(self, cores, readout):
        """The network in the format of the estimator, from cores in the order of the chain."""
        order, p = self.network.order, self.network.output_site
        return from_padded(fold(cores, p), readout, order, p).astype(self.network.dtype)


@dataclass(frozen=True, eq=False)
class TreeMember(Member):
    """The tree of a model: its readings ask scalar trees what those of chains ask scalar chains."""

    def outputs(self):
        """Scalar trees of all outputs, their sites in order, and the mean vectors."""
        parts = [scalar_tree(self.network, c, scale) for c, scale in enumerate(self.scale)]
        return parts, np.arange(self.network.n_sites), self.basis.mean.astype(np.float64)


def check_chain(model, trees=False):
    """Refuse what is no fitted chain, nor an average of chains, nor a tree where it is read."""
    if hasattr(model, "fit"):
        check_is_fitted(model)
    if hasattr(model, "merges_"):
        if trees:
            return
        raise ValueError(
            f"{type(model).__name__} is a tree, and this reading is one of chains: fit the same "
            "parameters with MPSClassifier or MPSRegressor, or imitate the tree by a chain, see "
            "sktn.inspection.distill."
        )
    average = hasattr(model, "weights_") and hasattr(model, "estimators_")
    if not (average or hasattr(model, "networks_") or isinstance(model, MPSDensityEstimator)):
        raise ValueError(
            "Expected a fitted MPSClassifier, MPSRegressor or a cross-validated one, alone, at the "
            f"end of a pipeline or chosen by a search; got {model!r}. Other predictors can be "
            "imitated by a chain, see sktn.inspection.distill; an anomaly detector explains itself "
            "by its method feature_contributions."
        )


def networks_of(model):
    """The members of a fitted model; their weights add up to 1."""
    if hasattr(model, "weights_") and hasattr(model, "estimators_"):
        share = np.asarray(model.weights_, np.float64) / np.sum(model.weights_)
        return [
            replace(member, weight=w * member.weight)
            for w, estimator in zip(share, model.estimators_, strict=True)
            for member in networks_of(estimator)
        ]
    if isinstance(model, MPSDensityEstimator):
        raise ValueError("A density has no score; bond_entropy and mutual_information read it.")
    if isinstance(model.columns_, GroupedColumns):
        raise ValueError(
            f"Readings need one column a site, but the embedding {model.embedding!r} puts "
            "several on each: fit the model with another embedding."
        )
    tree = hasattr(model, "merges_")
    networks = [model.network_] if tree else model.networks_
    n_outputs = networks[0].n_outputs
    scale, offset = np.ones(n_outputs), np.zeros(n_outputs)
    if hasattr(model, "target_scale_"):
        scale = np.asarray(model.target_scale_, np.float64)
        offset = np.asarray(model.target_center_, np.float64)
        if model.loss_.log_link:
            scale, offset = np.ones(n_outputs), np.log(scale)
    basis, weight = _in_double(model.basis_), 1 / len(networks)
    kind = TreeMember if tree else Member
    return [kind(weight, model.columns_, basis, network, scale, offset) for network in networks]


def in_unit_scale(members, output=None):
    """Members whose largest output has a scale of about one, and the factor: squares of functions
    in the units of a target may leave the range of floats. Where one output is asked for, the
    others are nothing."""
    scales = np.stack([member.scale for member in members])
    if output is not None:
        scales = np.where(np.arange(scales.shape[1]) == output, scales, 0.0)
    factor = float(power_of_two_scale(scales.ravel(), axis=0)[0])
    scaled = zip(members, scales / factor, strict=True)
    return [replace(member, scale=scale) for member, scale in scaled], factor


def in_units(score, factor, offset=0.0):
    """A score of unit scale in the units of the target; what is beyond the floats is the largest of
    them."""
    largest = np.finfo(np.float64).max
    with np.errstate(over="ignore"):
        scaled = np.asarray(score * factor + offset)
    return np.clip(scaled, -largest, largest, out=scaled)


def estimators_of(model):
    """The estimators that hold the networks: those of an average, or the model itself."""
    return getattr(model, "estimators_", [model])


def network_attributes(networks):
    """The fitted attributes that follow from the networks alone."""
    return {
        "networks_": networks,
        "bond_dims_": networks[0].bond_dims,
        "cores_": networks[0].cores(),
        "_n_features_out": sum(net.readout.shape[0] + net.readout.shape[2] for net in networks),
    }


def with_networks(model, change):
    """Give a copy of a model, or of an average, other networks: change from Member to MPS."""
    for estimator in estimators_of(model):
        vars(estimator).update(network_attributes([change(m) for m in networks_of(estimator)]))
        _forget(estimator)
    _forget(model)


def _forget(model):
    """What was known of networks before: their errors, how sure they were."""
    for name in ("spread_", "certainty_"):
        vars(model).pop(name, None)


def single(model):
    """The only network of a model."""
    members = networks_of(model)
    if len(members) > 1:
        raise ValueError(
            f"This reading needs a single network, but the model averages {len(members)}: fit it "
            "with n_estimators=1, or pass one of the estimators_ of a cross-validated model."
        )
    return members[0]


def output_names(model):
    """The class of each score, or the names of the targets."""
    if hasattr(model, "output_names_"):
        return np.asarray(model.output_names_)  # of an imitated predictor
    if hasattr(model, "classes_"):
        classes = model.classes_
        return classes[1:] if len(classes) == 2 else classes
    n_outputs = len(networks_of(model)[0].scale)
    return np.array([f"y{c}" for c in range(n_outputs)] if n_outputs > 1 else ["y"], dtype=object)


def checked_output(output, n_outputs):
    if not 0 <= output < n_outputs:
        raise ValueError(f"output={output} is out of range: the model has {n_outputs} scores.")
    return output


def _in_double(basis):
    """The same basis with floats of 64 bits."""
    arrays = {f.name: getattr(basis, f.name) for f in fields(basis) if f.name != "embedding"}
    doubled = {
        name: np.asarray(a, np.float64) if np.asarray(a).dtype.kind == "f" else a
        for name, a in arrays.items()
    }
    return replace(basis, **doubled)
