"""Services shared by the tests: one for each set of endorsements, started at its first use."""

import os

import pytest

import evidence
from harness import Service, binary

# Of the SDK evidence: JSON runtime data and both forms; and Binary runtime data.
JSON_QUOTE, JSON_REPORT, BINARY_QUOTE = "sdk-test-quote", "sdk-test-report", "intel-release"


def pytest_sessionstart(session):
    if not binary().is_file():
        pytest.exit(f"{binary()} is not there: build it with `cargo build --release -p cli`, or set VOUCHSAFE_BIN", 2)
    if not evidence.present() and os.environ.get("CI") == "true":
        pytest.exit(f"no vectors in {evidence.root()}; with CI=true that is a failure (VOUCHSAFE_VECTORS names them)", 2)


@pytest.fixture(scope="session")
def services():
    """Gives the running service for an evidence item's endorsements."""
    running = {}

    def of(item):
        if item.endorsed not in running:
            running[item.endorsed] = Service(*item.endorsed.serve_args()).start()
        return running[item.endorsed]

    yield of
    for service in running.values():
        service.close()


def _sdk_item(name):
    if not evidence.present():
        pytest.skip(f"no vectors in {evidence.root()}")
    return evidence.named(name)


@pytest.fixture
def json_quote():
    return _sdk_item(JSON_QUOTE)


@pytest.fixture
def json_report():
    return _sdk_item(JSON_REPORT)


@pytest.fixture
def binary_quote():
    return _sdk_item(BINARY_QUOTE)


@pytest.fixture
def service(services, json_quote):
    """The service that accepts the SDK evidence."""
    return services(json_quote)
