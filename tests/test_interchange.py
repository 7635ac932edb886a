"""There and back: quimb and TensorLy see the tensors that the models see."""

import numpy as np
import pytest

from sktn import (
    MPSClassifier,
    MPSDensityEstimator,
    MPSRegressorCV,
    SMPOAnomalyDetector,
    TRDecomposer,
    TTDecomposer,
)
from sktn.interchange import (
    from_quimb,
    from_tensorly,
    network_arrays,
    to_quimb,
    to_tensorly,
)
from sktn.networks import born, graph, mpo
from sktn.tables.basis import embed


@pytest.fixture(scope="module")
def classifier():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = np.digitize(X[:, 0] * X[:, 1], [-0.3, 0.3])
    return MPSClassifier(bond_dim=3, degree=2, alpha=0.1, random_state=0).fit(X, y)


def dense_chain(arrays):
    out = np.ones((1, 1))
    for core in arrays:
        out = np.einsum("pl,lsr->psr", out, core).reshape(-1, core.shape[2])
    return out.reshape([core.shape[1] for core in arrays])


def dense_quimb(network):
    n = len(network.tensors)
    return network.contract(output_inds=[f"k{i}" for i in range(n)]).data


def test_the_arrays_of_a_classifier_give_its_scores(classifier):
    X = np.random.default_rng(1).normal(size=(5, 3))
    arrays = network_arrays(classifier)
    network, basis = classifier.networks_[0], classifier.basis_
    phi = embed(basis, classifier.columns_.transform(X))
    W = np.moveaxis(dense_chain(arrays), network.output_site, -1)
    expected = np.einsum("stuc,bs,bt,bu->bc", W, *(phi[:, i] for i in network.order))
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-10)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_quimb_chains(classifier):
    pytest.importorskip("quimb")
    arrays = network_arrays(classifier)
    state = to_quimb(classifier)
    np.testing.assert_allclose(dense_quimb(state), dense_chain(arrays), atol=1e-12)
    for core, back in zip(arrays, from_quimb(state), strict=True):
        np.testing.assert_array_equal(core, back)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_quimb_densities(rng):
    pytest.importorskip("quimb")
    model = MPSDensityEstimator(bond_dim=2, degree=1, max_iter=2).fit(rng.normal(size=(30, 3)))
    np.testing.assert_allclose(dense_quimb(to_quimb(model)), born.to_dense(model.cores_))


def test_quimb_operators(rng):
    pytest.importorskip("quimb")
    shapes = [(1, 2, 3, 2), (2, 2, 3, 4), (4, 2, 3, 1)]
    arrays = [rng.normal(size=shape) for shape in shapes]
    operator = to_quimb(arrays)
    dense = operator.contract(output_inds=[*(f"b{i}" for i in range(3)), "k0", "k1", "k2"]).data
    padded = np.zeros((3, 4, 2, 3, 4))
    for core, array in zip(padded, arrays, strict=True):
        core[: array.shape[0], :, :, : array.shape[3]] = array
    np.testing.assert_allclose(dense, mpo.to_dense(padded))
    for core, back in zip(arrays, from_quimb(operator), strict=True):
        np.testing.assert_array_equal(core, back)


def test_quimb_graphs(rng):
    pytest.importorskip("quimb")
    R = np.array([[1, 2, 1, 2], [2, 1, 3, 1], [1, 3, 1, 1], [2, 1, 1, 1]])
    cores = graph.random_cores((4, 5, 3, 2), R, rng)
    network = to_quimb(cores, graph=True)
    np.testing.assert_allclose(dense_quimb(network), graph.to_dense(cores), atol=1e-12)
    for core, back in zip(cores, from_quimb(network), strict=True):
        np.testing.assert_array_equal(core, back)


def test_quimb_reads_decomposers(rng):
    pytest.importorskip("quimb")
    model = TRDecomposer(rank=2, random_state=0).fit(rng.normal(size=(3, 4, 2)))
    np.testing.assert_allclose(dense_quimb(to_quimb(model)), model.to_tensor(), atol=1e-10)


def test_quimb_refuses_rings(rng):
    pytest.importorskip("quimb")
    with pytest.raises(ValueError, match="to_open"):
        to_quimb([rng.normal(size=(2, 3, 2))] * 3)


@pytest.mark.parametrize("n_modes", [2, 3, 5])
def test_tensorly_trains_and_rings(rng, n_modes):
    pytest.importorskip("tensorly")
    X = rng.normal(size=(4, *[3] * (n_modes - 1)))
    for model in (TTDecomposer(target_error=0.2), TRDecomposer(rank=2)):
        model.set_params(random_state=0).fit(X)
        network = to_tensorly(model)
        np.testing.assert_allclose(network.to_tensor(), model.to_tensor(), atol=1e-10)
        again = from_tensorly(network)
        np.testing.assert_allclose(to_tensorly(again).to_tensor(), model.to_tensor(), atol=1e-10)


def test_tensorly_chains(classifier):
    pytest.importorskip("tensorly")
    train = to_tensorly(classifier)
    np.testing.assert_allclose(train.to_tensor(), dense_chain(network_arrays(classifier)))


def test_what_cannot_be_said(rng):
    complete = graph.random_cores((3,) * 4, np.full((4, 4), 2), rng)
    with pytest.raises(ValueError, match="trains and rings only"):
        to_tensorly(complete, graph=True)
    with pytest.raises(ValueError, match="no network"):
        to_tensorly([np.ones((1, 2, 2)), np.ones((3, 2, 1))])
    with pytest.raises(ValueError, match="matrix product operators"):
        to_tensorly([np.ones((1, 2, 2, 1))] * 2)


def test_models_without_a_network(rng):
    X = rng.normal(size=(20, 2))
    with pytest.raises(ValueError, match=r"no network that others could read\.$"):
        network_arrays(SMPOAnomalyDetector().fit(X))
    search = MPSRegressorCV(bases=[("standard", 1)], alphas=[1.0], random_state=0).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="each of its estimators_ has one"):
        network_arrays(search)
    assert len(network_arrays(search.estimators_[0])) == 3
