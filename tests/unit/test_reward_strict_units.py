"""Units of the strict grader: what a text is worth in base units, and how far it is believed."""

from fractions import Fraction

import pytest
from deepscaler.reward.strict.units import read_unit


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("km/h", "kilometers per hour"),
        ("m s^{-2}", "meters per second squared"),
        ("(erg)/( s)", "ergs s^{-1}"),
        ("sq. ft.", "square feet"),
        ("cm^3", "cubic centimetres"),
        ("J/(kg K)", "J/kg/K"),
        ("\\mu m", "micrometers"),
        ("k\\Omega", "kiloohms"),
        ("M_\\odot", "solar masses"),
        ("°C", "degrees Celsius"),
        ("N m", "J"),
        ("Wb/m^2", "T"),
        ("kW h", "kWh"),
        ("mph", "miles an hour"),
    ],
)
def test_two_spellings_of_one_unit(one: str, other: str) -> None:
    assert read_unit(one) is not None
    assert read_unit(one) == read_unit(other)


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("km", "m", 1000), ("hours", "minutes", 60), ("mi", "ft", 5280), ("MW", "mW", 10**9), ("cm^2", "m^2", 1e-4)],
)
def test_conversion(one: str, other: str, ratio: float) -> None:
    first, second = read_unit(one), read_unit(other)
    assert first is not None
    assert second is not None
    assert first.dimensions == second.dimensions
    assert first.factor / second.factor == Fraction(str(ratio))


@pytest.mark.parametrize("text", ["", "apples", "x", "m/", "m^99", "(m", "M", "12", "m" * 100, "or m", "per s", "^2"])
def test_no_unit(text: str) -> None:
    assert read_unit(text) is None


def test_a_year_is_no_fixed_number_of_days() -> None:
    year, day = read_unit("year"), read_unit("days")
    assert year is not None
    assert day is not None
    assert year.dimensions != day.dimensions
