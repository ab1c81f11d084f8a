"""What holds for every test, whatever else the machine does meanwhile."""

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from manifests import misfits

# Neither how long an example takes nor how slowly one is drawn says anything on a machine that does other work too; the
# first draw of a text alone takes seconds there, while hypothesis builds its tables of characters. The parent is what
# hypothesis chose by itself, so that it stays reproducible where it sees that it runs unattended.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Hold every manifest that a test leaves behind against the schema that readers get."""
    result = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if folder is not None:
        assert list(misfits(folder)) == []
    return result
