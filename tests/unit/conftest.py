"""Options of the unit tests."""


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the renderers give into the golden files instead of comparing",
    )
