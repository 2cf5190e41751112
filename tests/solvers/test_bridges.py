"""Kernels carried to scikit-learn and GPyTorch, and theirs carried here, compared with the libraries themselves."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone as sklearn_clone
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process import kernels as gp
from solver_kernels import WORDS, Gauss, Indefinite, Spectrum, Whitened

import kernreg_core as kr
import kernreg_solvers as ks
from kernreg_core.errors import InputError, MissingDependencyError, ParameterError
from kernreg_core.testing import check
from kernreg_solvers import KernelRidge, as_gpytorch, as_kernel, as_sklearn_gp


def points(n: int = 20, d: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


class Warped(kr.BaseKernel):
    """A kernel with an array of parameters, NumPy only: sum_k a_k x_k y_k + c."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd"})

    def __init__(self, *, weights: Any = (1.0, 2.0), offset: float = 0.5) -> None:
        self.weights = weights
        self.offset = offset

    def evaluate(self, X: Any, Y: Any) -> Any:
        return (X * np.asarray(self.weights, X.dtype)) @ Y.T + self.offset


# -- to scikit-learn ------------------------------------------------------------------------


def test_a_regression_learns_what_scikit_learns_own_kernel_learns() -> None:
    X = points(40)
    y = np.sin(X[:, 0]) + 0.1 * points(40, 1, 1)[:, 0]
    ours = 2.0 * Gauss(lengthscale=0.5)
    model = GaussianProcessRegressor(as_sklearn_gp(ours) + gp.WhiteKernel(0.1)).fit(X, y)
    theirs = GaussianProcessRegressor(gp.ConstantKernel(2.0) * gp.RBF(0.5) + gp.WhiteKernel(0.1)).fit(X, y)
    assert model.log_marginal_likelihood_value_ == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-4)
    learnt = model.kernel_.k1.to_kernreg()
    assert learnt.kernel.lengthscale == pytest.approx(theirs.kernel_.k1.k2.length_scale, rel=1e-2)
    new = points(5, seed=2)
    for a, b in zip(model.predict(new, return_std=True), theirs.predict(new, return_std=True), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)
    assert ours.get_params()["kernel__lengthscale"] == 0.5  # the user's kernel is not touched


def test_theta_bounds_and_gradients_are_those_of_the_formula() -> None:
    X = points(6)
    kernel = as_sklearn_gp(3.0 * Gauss(lengthscale=1.5), bounds={"lengthscale": (0.1, 10.0)})
    np.testing.assert_allclose(sorted(np.exp(kernel.theta)), [1.5, 3.0])
    names = [h.name for h in kernel.hyperparameters]
    assert names == ["kernel__kernel__lengthscale", "kernel__variance"]
    np.testing.assert_allclose(np.exp(kernel.bounds), [[0.1, 10.0], [1e-5, 1e5]])
    K, gradient = kernel(X, eval_gradient=True)
    squared = ((X[:, None] - X[None]) ** 2).sum(-1)
    exact = 3.0 * np.exp(-squared / 4.5)
    np.testing.assert_allclose(K, exact, rtol=1e-12)
    np.testing.assert_allclose(gradient[:, :, 0], exact * squared / 1.5**2, atol=1e-7)  # d K / d log l
    np.testing.assert_allclose(gradient[:, :, 1], exact, atol=1e-7)  # d K / d log variance
    np.testing.assert_allclose(kernel.diag(X), np.full(6, 3.0))
    assert kernel.is_stationary()
    assert not as_sklearn_gp(Warped()).is_stationary()
    assert kernel.clone_with_theta(np.log([2.0, 5.0])).to_kernreg().variance == pytest.approx(5.0)
    assert kernel.to_kernreg().variance == 3.0
    assert as_sklearn_gp(Gauss(), bounds="fixed").n_dims == 0


def test_arrays_of_parameters_and_their_number() -> None:
    kernel = as_sklearn_gp(Warped(), parameters=["weights"])
    assert [(h.name, h.n_elements) for h in kernel.hyperparameters] == [("kernel__weights", 2)]
    X = points(5)
    _, gradient = kernel(X, eval_gradient=True)
    np.testing.assert_allclose(gradient[:, :, 1], 2.0 * np.outer(X[:, 1], X[:, 1]), atol=1e-7)
    moved = kernel.clone_with_theta(np.log([3.0, 4.0]))
    assert moved.to_kernreg().weights == pytest.approx((3.0, 4.0))


def test_it_is_a_good_citizen_of_scikit_learn() -> None:
    kernel = as_sklearn_gp(Gauss(lengthscale=2.0), bounds={"lengthscale": (0.5, 5.0)})
    copy = sklearn_clone(kernel)
    assert copy == kernel
    assert copy.kernel is not kernel.kernel
    assert copy.set_params(kernel__lengthscale=3.0).kernel.lengthscale == 3.0
    assert copy != kernel
    assert pickle.loads(pickle.dumps(kernel)) == kernel
    assert repr(kernel) == "as_sklearn_gp(Gauss(lengthscale=2.0))"
    y = points()[:, 0] > 0
    assert GaussianProcessClassifier(kernel).fit(points(), y).score(points(), y) > 0.9


def test_words_go_through_scikit_learns_process() -> None:
    y = np.array([float(word.startswith("a")) for word in WORDS])
    kernel = as_sklearn_gp(2.0 * Spectrum())
    assert not kernel.requires_vector_input
    model = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None).fit(WORDS, y)
    K = 2.0 * Spectrum()(WORDS)
    np.testing.assert_allclose(model.predict(WORDS), K @ np.linalg.solve(K + 0.1 * np.eye(len(y)), y), atol=1e-10)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: as_sklearn_gp(3.0), "expected a kernel"),
        (lambda: as_sklearn_gp(Whitened()), "has to be fitted"),
        (lambda: as_sklearn_gp(Gauss(), parameters=["width"]), "no positive parameter"),
        (lambda: as_sklearn_gp(Gauss(), bounds={"lengthscale": (2.0, 1.0)}), "lengthscale"),
    ],
)
def test_what_scikit_learn_cannot_have_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        call()


# -- from scikit-learn ----------------------------------------------------------------------

SKLEARN = {
    "rbf": gp.RBF([1.0, 2.0]),
    "sum of products": gp.ConstantKernel(2.0) * gp.Matern(nu=1.5) + gp.DotProduct(),
    "exponentiation": gp.Exponentiation(gp.RationalQuadratic(), 2),
    "pairwise": gp.PairwiseKernel(metric="laplacian", gamma=0.5),
}


@pytest.mark.parametrize("name", SKLEARN)
def test_values_are_scikit_learns(name: str) -> None:
    X, Y = points(), points(7, seed=1)
    k = as_kernel(SKLEARN[name])
    np.testing.assert_array_equal(k(X, Y), SKLEARN[name](X, Y))
    np.testing.assert_allclose(k(X), SKLEARN[name](X), rtol=1e-15)
    np.testing.assert_array_equal(k.diag(X), SKLEARN[name].diag(X))
    assert ("stationary" in k.capabilities) == SKLEARN[name].is_stationary()
    assert k(X.astype(np.float32)).dtype == np.float32


def test_a_kernel_of_scikit_learn_keeps_the_laws() -> None:
    report = check(as_kernel(gp.RBF(1.5)))
    assert report.passed, report


@pytest.mark.parametrize(
    ("kernel", "definite"),
    [
        (gp.ConstantKernel(2.0) * gp.Matern(nu=1.5) + gp.DotProduct() ** 2, True),
        (gp.PairwiseKernel(metric="rbf"), True),
        (gp.RBF() + as_sklearn_gp(Gauss()), True),
        (gp.DotProduct() ** 0.5, False),
        (gp.RBF() * gp.ExpSineSquared(), False),
        (gp.PairwiseKernel(metric="sigmoid"), False),
        (gp.RBF() + as_sklearn_gp(Indefinite()), False),
    ],
)
def test_positive_semi_definite_is_claimed_where_it_is_known(kernel: Any, definite: bool) -> None:
    assert ("psd" in as_kernel(kernel).capabilities) == definite


def test_an_indefinite_kernel_of_theirs_is_refused_under_any_noise() -> None:
    X = points(30)
    kernel = as_kernel(gp.ExpSineSquared(1.0, 1.0))
    assert np.linalg.eigvalsh(kernel(X))[0] < -0.1  # on the plane it is no covariance
    with pytest.raises(InputError, match="not positive semi-definite"):
        ks.GaussianProcessRegressor(kernel=kernel, noise=10.0, optimizer=None).fit(X, X[:, 0])
    line = X[:, :1]  # on the line it is one
    ks.GaussianProcessRegressor(kernel=kernel, noise=10.0, optimizer=None).fit(line, line[:, 0])


def test_it_combines_and_solves() -> None:
    X = points()
    y = X[:, 0]
    mixed = 2 * as_kernel(gp.RBF(1.5)) + Gauss()
    np.testing.assert_allclose(mixed(X), 2 * gp.RBF(1.5)(X) + Gauss()(X), rtol=1e-12)
    model = KernelRidge(kernel=mixed, alpha=0.1).set_params(kernel__k1__kernel__kernel__length_scale=0.7).fit(X, y)
    expected = KernelRidge(kernel="precomputed", alpha=0.1).fit(2 * gp.RBF(0.7)(X) + Gauss()(X), y)
    np.testing.assert_allclose(model.dual_coef_, expected.dual_coef_, rtol=1e-8)


def test_there_and_back() -> None:
    kernel = 2.0 * Gauss(lengthscale=3.0)
    assert repr(as_kernel(as_sklearn_gp(kernel))) == repr(kernel)
    assert as_kernel(kernel) is kernel
    theirs = as_sklearn_gp(as_kernel(gp.RBF(2.0)))
    np.testing.assert_allclose(theirs(points()), gp.RBF(2.0)(points()))
    assert np.exp(theirs.theta) == pytest.approx([2.0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: as_kernel("rbf"), "expected an object"),
        (lambda: as_kernel(gp.RBF), "make an object"),
        (lambda: as_kernel(gp.RBF() + gp.WhiteKernel()), "WhiteKernel"),
        (lambda: as_kernel(gp.CompoundKernel([gp.RBF(), gp.Matern()])), "one for each of its kernels"),
        (lambda: as_kernel(lambda X, Y: X @ Y.T), "can be passed to solvers"),
    ],
)
def test_what_is_no_kernel_of_theirs_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        call()


# -- GPyTorch -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpytorch() -> Any:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    library = pytest.importorskip("gpytorch", reason="GPyTorch is not installed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for matrices of 30 rows several only wait for each other
    yield library
    torch.set_num_threads(threads)


def _exact(gpytorch: Any, kernel: Any, X: Any, y: Any) -> Any:
    import torch

    class Model(gpytorch.models.ExactGP):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(X, y, gpytorch.likelihoods.GaussianLikelihood().double())
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = kernel

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    model = Model().double()
    model.train()
    likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(30):  # from one start both go one way, arrived or not
        optimiser.zero_grad()
        loss = -likelihood(model(X), y)
        loss.backward()
        optimiser.step()
    model.eval()
    return model, loss.item()


def test_gpytorch_trains_a_kernel_of_ours_to_what_its_own_learns(gpytorch: Any) -> None:
    import torch

    X = torch.tensor(points(30))
    y = torch.sin(X[:, 0]) + 0.1 * torch.tensor(points(30, 1, 1))[:, 0]
    ours = as_gpytorch(2.0 * Gauss(lengthscale=0.5)).double()
    own = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel()).double()
    own.outputscale, own.base_kernel.lengthscale = 2.0, 0.5
    with torch.no_grad():
        torch.testing.assert_close(ours(X).to_dense(), own(X).to_dense(), atol=1e-6, rtol=0)
    (model, loss), (peer, expected) = _exact(gpytorch, ours, X, y), _exact(gpytorch, own, X, y)
    assert loss == pytest.approx(expected, abs=2e-3)
    learnt = ours.to_kernreg()
    assert isinstance(learnt.kernel.lengthscale, float)
    assert learnt.kernel.lengthscale == pytest.approx(own.base_kernel.lengthscale.item(), rel=0.05)
    new = torch.tensor(points(4, seed=3))
    with torch.no_grad():
        torch.testing.assert_close(model(new).mean, peer(new).mean, atol=1e-2, rtol=0)


def test_a_numpy_kernel_is_trained_by_differences(gpytorch: Any) -> None:
    import torch

    class Plain(Gauss):
        """The same without tensors as parameters."""

        capabilities = frozenset({"symmetric", "psd", "normalized", "stationary"})

        def evaluate(self, X: Any, Y: Any) -> Any:
            return super().evaluate(X, Y) if isinstance(X, np.ndarray) else torch.as_tensor(self(X.numpy(), Y.numpy()))

    X = torch.tensor(points(5))
    slow, fast = as_gpytorch(Plain(lengthscale=1.5)).double(), as_gpytorch(Gauss(lengthscale=1.5)).double()
    weights = torch.tensor(points(5, 5))
    for module in (slow, fast):
        (module(X).to_dense() * weights).sum().backward()
    assert slow._direct is False
    assert fast._direct is True
    torch.testing.assert_close(slow.raw_lengthscale.grad, fast.raw_lengthscale.grad, atol=1e-6, rtol=1e-6)


def test_gpytorchs_shapes_diagonals_and_constraints(gpytorch: Any) -> None:
    import torch

    module = as_gpytorch(Gauss(lengthscale=1.5), bounds={"lengthscale": (0.1, 2.0)}).double()
    X, Y = torch.tensor(points(6).reshape(2, 3, 2)), torch.tensor(points(4, seed=1))
    K = module(X, Y).to_dense()
    assert K.shape == (2, 3, 4)
    np.testing.assert_allclose(K[1].detach(), Gauss(lengthscale=1.5)(X[1].numpy(), Y.numpy()), rtol=1e-6)
    np.testing.assert_allclose(
        module(X[0], X[1], diag=True).detach(),
        np.diagonal(Gauss(lengthscale=1.5)(X[0].numpy(), X[1].numpy())),
        rtol=1e-6,
    )
    constraint = module.raw_lengthscale_constraint
    assert (float(constraint.lower_bound), float(constraint.upper_bound)) == (pytest.approx(0.1), pytest.approx(2.0))
    assert "1.000E-01, 2.000E+00" in repr(module)
    assert "lengthscale" in repr(as_gpytorch(Gauss(lengthscale=[1.0, 2.0]), bounds={"lengthscale": (0.1, 2.0)}))
    x = X[0].clone().requires_grad_()
    module(x, Y).to_dense().sum().backward()
    assert bool(torch.isfinite(x.grad).all())
    assert float(x.grad.abs().sum()) > 0
    assert list(as_gpytorch(Gauss(), bounds="fixed").parameters()) == []
    assert module.is_stationary


def test_a_start_outside_its_bounds_or_on_one_is_moved_inside(gpytorch: Any) -> None:
    import torch

    X = torch.tensor(points(6))
    for start, expected in ((0.5, 1.0), (1.0, 1.0), (9.0, 4.0)):
        module = as_gpytorch(Gauss(lengthscale=start), bounds={"lengthscale": (1.0, 4.0)}).double()
        module(X).to_dense().sum().backward()
        assert module.values()["lengthscale"].item() == pytest.approx(expected, rel=2e-3)
        assert 1e-6 < abs(float(module.raw_lengthscale.grad)) < np.inf  # on the bound itself it would be 0 for ever
    with pytest.raises(ParameterError, match="'fixed'"):
        as_gpytorch(Gauss(), bounds={"lengthscale": (2.0, 2.0)})


def test_a_module_in_float32_takes_float64_and_the_other_way_round(gpytorch: Any) -> None:
    import torch

    X, Y = points(), points(5, seed=1)
    module = gpytorch.kernels.PolynomialKernel(power=2)
    module.offset = 0.5
    k = as_kernel(module)
    np.testing.assert_allclose(k(X, Y), (X @ Y.T + 0.5) ** 2, rtol=1e-6)
    np.testing.assert_allclose(k.diag(X), ((X * X).sum(1) + 0.5) ** 2, rtol=1e-6)
    assert {p.dtype for p in module.parameters()} == {torch.float32}  # the user's is left as it was
    wide = as_kernel(gpytorch.kernels.PolynomialKernel(power=2).double())
    assert wide(X.astype(np.float32)).dtype == np.float32
    assert wide.diag(X.astype(np.float32)).dtype == np.float32


def test_gpytorch_kernels_that_are_no_covariance_do_not_claim_it(gpytorch: Any) -> None:
    kernels = gpytorch.kernels
    assert "psd" in as_kernel(kernels.ScaleKernel(kernels.RBFKernel()) + as_gpytorch(Gauss())).capabilities
    for kernel in (kernels.RBFKernel() * kernels.CosineKernel(), kernels.RBFKernel() + as_gpytorch(Indefinite())):
        assert "psd" not in as_kernel(kernel).capabilities


def test_gpytorch_kernels_come_here(gpytorch: Any) -> None:
    import torch

    X, Y = points(), points(5, seed=1)
    module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=2)).double()
    module.outputscale, module.base_kernel.lengthscale = 3.0, torch.tensor([1.0, 2.0])
    k = as_kernel(module)
    expected = 3.0 * gp.Matern([1.0, 2.0], nu=2.5)(X, Y)
    np.testing.assert_allclose(k(X, Y), expected, rtol=1e-6)
    np.testing.assert_allclose(k.diag(X), np.full(20, 3.0))
    tensor = torch.tensor(X, requires_grad=True)
    k(tensor, torch.tensor(Y)).sum().backward()
    assert tensor.grad is not None
    np.testing.assert_allclose((k + 2 * Gauss())(X, Y), k(X, Y) + 2 * Gauss()(X, Y))
    model = KernelRidge(kernel=k, alpha=0.1).fit(X, X[:, 0])
    assert model.kernel_.kernel is not module  # fit works on a copy
    again = pickle.loads(pickle.dumps(k))
    np.testing.assert_array_equal(again(X, Y), k(X, Y))
    assert kr.fingerprint(again) == kr.fingerprint(k)
    module.outputscale = 1.0
    assert kr.fingerprint(again) != kr.fingerprint(k)


def test_a_kernel_of_gpytorch_keeps_the_laws(gpytorch: Any) -> None:
    kernel = as_kernel(gpytorch.kernels.RBFKernel().double())
    module = "the parameter is a torch module, of which copies are not equal and which caches on itself"
    graph = "the module's own parameters carry gradients"
    reasons = dict.fromkeys(
        ("pickle_keeps_parameters", "clone_keeps_parameters", "sklearn_clone_works", "use_leaves_parameters",
         "unknown_parameter_is_refused"), module,
    ) | dict.fromkeys(("torch_without_gradients_has_no_graph", "autograd_leaves_the_values_alone"), graph)  # fmt: skip
    reasons |= dict.fromkeys(("repr_names_the_class", "repr_can_be_typed_back"), "a module's repr is no source text")
    report = check(kernel, expected_failures=reasons)
    assert report.passed, report


@pytest.mark.parametrize("shape", ["batch", "outputs"])
def test_gpytorch_kernels_of_another_form_are_refused(gpytorch: Any, shape: str) -> None:
    import torch

    if shape == "batch":
        with pytest.raises(ParameterError, match="batch shape"):
            as_kernel(gpytorch.kernels.RBFKernel(batch_shape=torch.Size([2])))
    else:
        with pytest.raises(ParameterError, match="one output"):
            as_kernel(gpytorch.kernels.RBFKernelGrad())(points())


def test_tensors_to_scikit_learn_and_words_to_gpytorch(gpytorch: Any) -> None:
    import torch

    with pytest.raises(InputError, match="no tensors"):
        as_kernel(gp.RBF())(torch.zeros(2, 2))
    with pytest.raises(ParameterError, match="on vectors"):
        as_gpytorch(Spectrum())


def test_without_gpytorch_the_name_is_there_and_its_call_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kernreg_solvers.bridge_module", None)
    with pytest.raises(MissingDependencyError, match="pip install gpytorch"):
        as_gpytorch(Gauss())


def test_solvers_say_how_their_kernels_are_passed() -> None:
    gpytorch = pytest.importorskip("gpytorch", reason="their modules are theirs")
    X = points()
    for learner in (KernelRidge, ks.GaussianProcessRegressor, ks.AlignmentLearner):
        with pytest.raises(ParameterError, match=r"kernel: .* got RBFKernel of GPyTorch; pass .*as_kernel\(kernel\)"):
            learner(kernel=gpytorch.kernels.RBFKernel()).fit(X, X[:, 0])
    KernelRidge(kernel=as_kernel(gpytorch.kernels.RBFKernel())).fit(X, X[:, 0])
    # scikit-learn's are callables of two arrays; one that gives no matrix is no kernel
    KernelRidge(kernel=gp.RBF()).fit(X, X[:, 0])
    with pytest.raises(ParameterError, match=r"not a matrix .*as_kernel\(kernel\)"):
        KernelRidge(kernel=gp.CompoundKernel([gp.RBF(), gp.RBF()])).fit(X, X[:, 0])
