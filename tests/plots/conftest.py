import pytest
from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    plt.close("all")  # What another module left in this process.
    yield
    plt.close("all")
