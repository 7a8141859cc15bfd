"""A real Redis for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.redis_server import RedisServer, find_redis


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of its own, empty at the start; without one installed the test is skipped, and says so."""
    program = find_redis()
    if program is None:
        pytest.skip("redis-server is not installed; run `make install-all`, which installs Debian's package")
    with RedisServer(program, tmp_path_factory.mktemp("redis")) as server:
        yield server
