import pathlib
from collections.abc import Iterator

import pytest

from lab import Lab, StandIn


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """One for all: what it takes to start it is longer than most tests. Its one slot runs one command
    at a time, so every test leaves it free."""
    stand_in = StandIn(tmp_path_factory.mktemp("aws"), "--slots", "1")
    yield stand_in
    stand_in.close()


@pytest.fixture
def lab(aws: StandIn, tmp_path: pathlib.Path) -> Iterator[Lab]:
    lab = Lab(aws, tmp_path)
    yield lab
    lab.leave()
