"""Wheels of every distribution, built once, and fresh environments to install them in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from repository import CORE, Environment, build_wheels, distributions, package, third_party


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheel of every first-party and third-party distribution: name of the distribution -> file."""
    folders = {**distributions(), **third_party()}
    built = build_wheels(list(folders.values()), tmp_path_factory.mktemp("wheels"))
    return {name: built[package(name)] for name in folders}


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    """Maker of fresh environments."""
    return lambda name: Environment.create(tmp_path_factory.mktemp("environments") / name)


@pytest.fixture(scope="session")
def everything(environment: Callable[[str], Environment], wheels: dict[str, Path]) -> Environment:
    """Environment with the wheel of every first-party distribution, and nothing that they do not require."""
    made = environment("everything")
    made.install(*(wheels[name] for name in distributions()))
    return made


@pytest.fixture(scope="session")
def market(environment: Callable[[str], Environment], wheels: dict[str, Path]) -> Environment:
    """Environment with the core and the third-party distributions, the broken and the incompatible ones too."""
    made = environment("market")
    made.install(wheels[CORE])
    # Without dependencies: pip itself would refuse acme-future, which needs a core that does not exist.
    made.install(*(wheels[name] for name in third_party()), dependencies=False)
    return made
