"""The local feature maps: values, orthonormality, range, and how they are named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import chebyshev, hermite_e, laguerre, legendre
from scipy.special import factorial

from sktn.embeddings import (
    EMBEDDINGS,
    Amplitude,
    Averaged,
    Concatenated,
    Custom,
    Fourier,
    FourierBumps,
    GaussianRBF,
    Hermite,
    Laguerre,
    Legendre,
    LinearComplement,
    Lookup,
    Mixed,
    OneHot,
    Product,
    Trigonometric,
    make_embedding,
)

every_embedding = pytest.mark.parametrize("name", EMBEDDINGS)


def grid(embedding, size=101, dtype=np.float64):
    """Coordinates over the whole closed domain: (size, 2, channels)."""
    low, high = embedding.domain
    z = np.linspace(low, high, size, dtype=dtype)[:, None, None]
    return np.broadcast_to(z, (size, 2, embedding.channels)).copy()


@every_embedding
@pytest.mark.parametrize("degree", [1, 2, 12])
def test_interface(name, degree):
    embedding = make_embedding(name, degree)
    z = grid(embedding, dtype=np.float32)
    values = jax.jit(embedding.evaluate)(z)
    assert embedding.name == name
    assert values.shape == (101, 2, embedding.dim)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert len(embedding.degrees) == embedding.dim
    assert embedding.constant in (0, None)
    assert hash(embedding) == hash(make_embedding(name, degree))
    if embedding.constant == 0:
        assert embedding.degrees[0] == 0
        np.testing.assert_array_equal(values[..., 0], 1)
    else:
        assert min(embedding.degrees) > 0


@every_embedding
def test_numpy_and_jax_agree(name):
    embedding = make_embedding(name, 4)
    z = grid(embedding, dtype=np.float32)
    exact = embedding.evaluate(z.astype(np.float64))
    assert isinstance(exact, np.ndarray)
    assert exact.dtype == np.float64
    np.testing.assert_allclose(embedding.evaluate(jnp.asarray(z)), exact, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("legendre", lambda x, c, k: legendre.legval(x, c) * np.sqrt(2 * k + 1)),
        ("polynomial", lambda x, c, k: x**k),
        ("hermite", lambda x, c, k: hermite_e.hermeval(x, c) / np.sqrt(factorial(k))),
        ("laguerre", lambda x, c, k: laguerre.lagval(x, c)),
        ("chebyshev", lambda x, c, k: chebyshev.chebval(x, c) * (np.sqrt(2) if k else 1)),
    ],
)
def test_polynomials_equal_numpy(name, reference):
    embedding = make_embedding(name, 7)
    z = grid(embedding)
    values = embedding.evaluate(z)
    for k, unit in enumerate(np.eye(8)):
        np.testing.assert_allclose(values[..., k], reference(z[..., 0], unit, k), atol=1e-9)


@pytest.mark.parametrize(
    ("embedding", "nodes", "weights"),
    [
        (Legendre(6), *legendre.leggauss(20)),
        (Hermite(6), *hermite_e.hermegauss(20)),
        (Laguerre(6), *laguerre.laggauss(20)),
        (make_embedding("chebyshev", 6), *chebyshev.chebgauss(20)),
        (Fourier(6), (np.arange(50) + 0.5) / 50, np.ones(50)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_orthonormal_under_the_reference_measure(embedding, nodes, weights):
    phi = embedding.evaluate(nodes[:, None, None])[:, 0]
    gram = phi.T * (weights / weights.sum()) @ phi
    np.testing.assert_allclose(gram, np.eye(embedding.dim), atol=1e-9)


def test_fourier_tells_the_ends_of_its_interval_apart():
    ends = Fourier(1).evaluate(np.array([[[0.0]], [[1.0]]]))
    assert abs(ends[0, 0, 1] - ends[1, 0, 1]) > 1


def test_trigonometric_is_a_unit_vector():
    embedding = Trigonometric(3)
    values = embedding.evaluate(grid(embedding))
    np.testing.assert_allclose(np.linalg.norm(values, axis=-1), 1)
    # The first frequency alone: [cos(pi x / 2), sin(pi x / 2)].
    x = np.array([[[0.5]]])
    np.testing.assert_allclose(Trigonometric(1).evaluate(x)[0, 0], np.sqrt([0.5, 0.5]))


def test_linear_complement():
    x = np.array([[[0.25]]])
    np.testing.assert_array_equal(LinearComplement().evaluate(x)[0, 0], [0.25, 0.75])
    biased = LinearComplement(bias=True)
    np.testing.assert_array_equal(biased.evaluate(x)[0, 0], [1, 0.25, 0.75])
    assert biased.degrees == (0, 1, 1)


def test_rbf():
    embedding = GaussianRBF(centers=(0.0, 0.5), gamma=2.0)
    x = np.array([[[1.0]]])
    np.testing.assert_allclose(embedding.evaluate(x)[0, 0], np.exp([-2.0, -0.5]))
    assert GaussianRBF(1).dim == 1
    np.testing.assert_allclose(GaussianRBF(3).positions, [0, 0.5, 1])
    # The centres reach over the whole domain.
    assert GaussianRBF.domain == tuple(GaussianRBF(4).positions[[0, -1]])


def test_one_hot():
    codes = np.array([[[0.0], [2.0]]])
    np.testing.assert_array_equal(OneHot(3).evaluate(codes)[0], [[1, 0, 0], [0, 0, 1]])


def test_mixed_reads_values_and_ranks():
    z = np.array([[[0.3, -0.6]]])
    ranks = Legendre(2).evaluate(np.array([[[-0.6]]]))[0, 0]
    np.testing.assert_allclose(Mixed(2).evaluate(z)[0, 0], [1, 0.3, *ranks[1:]])
    assert Mixed(2).degrees == (0, 1, 1, 2)


def test_functions_are_embeddings():
    embedding = make_embedding(lambda z: jnp.stack([z, jnp.exp(z)], axis=-1))
    assert embedding.dim == 2
    assert embedding.degrees == (1, 1)
    z = grid(embedding)
    np.testing.assert_allclose(embedding.evaluate(z)[..., 1], np.exp(z[..., 0]), rtol=1e-6)
    own = Custom(np.cos, dim=1, constant=0)
    assert own.degrees == (0,)
    assert make_embedding(own) is own


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_embedding("fourrier"), "Unknown embedding 'fourrier': use one of 'legendre'"),
        (lambda: make_embedding(3), "embedding must be one of .*, got 3"),
        (lambda: make_embedding(Legendre), "an instance of a class"),
        (lambda: make_embedding("legendre", 0), "needs degree >= 1, got 0"),
        (lambda: make_embedding(lambda z: z), r"\(b, n, d\); for \(1, 1\) it returned \(1, 1\)"),
        (lambda: GaussianRBF(()), "at least one centre"),
        (lambda: GaussianRBF(2, gamma=0), "gamma > 0, got 0"),
        (lambda: Custom(np.cos, dim=2, constant=1), "must be 0 or None, got 1"),
        (lambda: Custom(np.cos, dim=2, degrees=(1,)), "for each of the 2 components"),
    ],
)
def test_errors_name_the_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("p", [1, 2, 5])
def test_fourier_bumps_follow_their_formula(p):
    x = np.linspace(0, 1, 23)
    k, j = np.arange(p)[:, None, None], np.arange(p)
    waves = np.exp(2j * np.pi * k * ((p - 1) * x[:, None] - j) / p)
    values = FourierBumps(p).evaluate(x[:, None, None])[:, 0]
    np.testing.assert_allclose(values, np.abs(waves.sum(axis=0)) / p, atol=1e-14)
    # A unit vector at every one of the p places.
    places = np.arange(p) / max(p - 1, 1)
    at_places = FourierBumps(p).evaluate(places[:, None, None])[:, 0]
    np.testing.assert_allclose(at_places, np.eye(p), atol=1e-14)


def test_lookup_takes_the_vector_of_the_nearest_value():
    embedding = Lookup({2: (0, 1, 1), 0.5: (1, 0, 2)})
    assert embedding.domain == (0.5, 2.0)
    assert hash(embedding) == hash(Lookup(((0.5, (1.0, 0.0, 2.0)), (2.0, (0.0, 1.0, 1.0)))))
    z = np.array([0.5, 2.0, 1.9])[:, None, None]
    np.testing.assert_array_equal(embedding.evaluate(z)[:, 0], [[1, 0, 2], [0, 1, 1], [0, 1, 1]])
    with pytest.raises(ValueError, match="one length"):
        Lookup({0: (1,), 1: (1, 2)})
    with pytest.raises(ValueError, match="at least one value"):
        Lookup({})


GROUPED = [
    Product(Legendre(2), 2),
    Product(Legendre(3), 3, degree=3),
    Product(Trigonometric(2), 2),
    Concatenated(Legendre(2), 3),
    Concatenated(Trigonometric(1), 4),
    Averaged(Trigonometric(2), 4),
    Amplitude(4),
]


@pytest.mark.parametrize("embedding", GROUPED, ids=str)
def test_embeddings_of_several_columns_have_the_interface(embedding):
    z = grid(embedding, dtype=np.float32)
    values = jax.jit(embedding.evaluate)(z)
    assert values.shape == (101, 2, embedding.dim)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    np.testing.assert_allclose(embedding.evaluate(z), values, atol=1e-5)
    assert embedding.group == embedding.channels
    assert len(embedding.degrees) == embedding.dim
    assert list(embedding.degrees) == sorted(embedding.degrees) or embedding.constant is None
    if embedding.constant == 0:
        np.testing.assert_array_equal(values[..., 0], 1)
    assert make_embedding(embedding) is embedding
    hash(embedding)


def test_product_is_the_tensor_product(rng):
    z = rng.uniform(-1, 1, size=(6, 1, 2))
    first, second = (Legendre(2).evaluate(z[..., k : k + 1])[:, 0] for k in (0, 1))
    expected = np.einsum("bs,bt->bst", first, second).reshape(6, -1)
    values = Product(Legendre(2), 2).evaluate(z)[:, 0]
    np.testing.assert_allclose(np.sort(values, axis=1), np.sort(expected, axis=1))
    few = Product(Legendre(2), 4, degree=2)
    assert few.dim == 15
    assert max(few.degrees) == 2


def test_concatenated_and_averaged_are_what_they_say(rng):
    z = rng.uniform(size=(6, 1, 3))
    local = [Trigonometric(1).evaluate(z[..., k : k + 1]) for k in range(3)]
    np.testing.assert_allclose(
        Concatenated(Trigonometric(1), 3).evaluate(z), np.stack(local, axis=-1).reshape(6, 1, 6)
    )
    mean = z.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(
        Averaged(Trigonometric(1), 3).evaluate(z), Trigonometric(1).evaluate(mean)
    )


def test_amplitudes_of_a_black_patch_are_defined(rng):
    z = np.concatenate([np.zeros((1, 1, 4)), rng.uniform(size=(5, 1, 4))])
    values = Amplitude(4).evaluate(z)[:, 0]
    np.testing.assert_array_equal(values[0], [1, 0, 0, 0, 0])
    np.testing.assert_allclose((values**2).sum(axis=1), 1)
    np.testing.assert_allclose(values[:, 1:] / values[:, :1], z[:, 0])


def test_groups_need_embeddings_of_one_column():
    with pytest.raises(ValueError, match="one number a column"):
        Product(Mixed(2), 2)
    with pytest.raises(ValueError, match="group >= 1"):
        Amplitude(0)
    with pytest.raises(ValueError, match="no function"):
        _ = Product(Trigonometric(1), 2, degree=0).dim
