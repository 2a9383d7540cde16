"""Powers and known functions of complex floats, with a bound on the error of their results."""

import cmath
import math

EPSILON = 2.0**-52

Value = tuple[complex, float]
"""A value and a bound on its error."""


class NoValue(Exception):
    """The expression has no such value here: a pole, an overflow (`out_of_range`), or a symbol without a value."""

    def __init__(self, problem: str, out_of_range: bool = False) -> None:
        super().__init__(problem)
        self.out_of_range = out_of_range


def call(name: str, values: list[Value], log_base: float) -> Value:
    """A known function of values with error bounds; `log_base` is what a bare log has.

    Raises:
        NoValue: it has none there, or `name` takes other arguments.
    """
    a, da = values[0]
    if name in ELEMENTARY:
        result = ELEMENTARY[name](a)
        # the slope by a step well above rounding; generous, as a bound should be
        step = 1e-6 * (1 + abs(a))
        slope = abs(ELEMENTARY[name](a + step) - result) / step if da else 0.0
        return result, 2 * slope * da + 4 * EPSILON * (abs(result) + EPSILON)
    if name == "sqrt":
        return power(a, da, 0.5 + 0j, 0.0)
    if name in ("root", "cbrt"):
        degree = values[1][0].real if name == "root" else 3.0
        if abs(a.imag) <= da and a.real < 0 and degree % 2 == 1:
            value, error = power(-a, da, complex(1 / degree), EPSILON)
            return -value, error
        return power(a, da, complex(1 / degree), EPSILON)
    if name == "log" and len(values) == 2:
        b, _ = values[1]
        return cmath.log(a) / cmath.log(b), (da / abs(a) + 4 * EPSILON) / abs(cmath.log(b)) * (1 + abs(cmath.log(a)))
    if name in ("log", "lg"):
        divisor = math.log(log_base if name == "log" else 10)
        return cmath.log(a) / divisor, (da / abs(a) + EPSILON * (1 + abs(cmath.log(a)))) / divisor
    if name == "abs":
        return complex(abs(a)), da
    return real_call(name, [value for value, _ in values], max(error for _, error in values))


def power(a: complex, da: float, b: complex, db: float) -> Value:
    if a == 0:
        if b.real <= 0:
            raise NoValue("power of zero")
        return 0j, da ** min(b.real, 1.0) if da else 0.0
    if b.imag == 0 and b.real == round(b.real) and abs(b.real) < 1024:
        result = a ** int(b.real)
    elif a.imag == 0 and a.real > 0 and b.imag == 0:
        result = complex(a.real**b.real)
    else:
        result = a**b
    if result == 0:
        raise NoValue("too small", out_of_range=True)
    relative = abs(b) * da / abs(a) + abs(cmath.log(a)) * (db + EPSILON * abs(b)) + EPSILON
    return result, abs(result) * relative


def real_call(name: str, values: list[complex], error: float) -> Value:
    """Functions of real numbers; whole arguments are taken for whole within their error."""
    if any(abs(value.imag) > 1e-9 * (1 + abs(value)) for value in values):
        raise NoValue(f"{name} of a complex number")
    reals = [value.real for value in values]
    first = reals[0]
    near = round(first) if abs(first - round(first)) <= 1e-9 * (1 + abs(first)) else None
    match name:
        case "floor":
            return complex(math.floor(first) if near is None else near), 0.0
        case "ceil":
            return complex(math.ceil(first) if near is None else near), 0.0
        case "sgn":
            return complex((first > 0) - (first < 0)), 0.0
        case "factorial":
            result = math.gamma(first + 1)
            return complex(result), 1e-13 * abs(result) + error * abs(result) * 10
        case "binom" if len(reals) == 2:
            result = binomial(reals[0], reals[1])
            return complex(result), 1e-12 * abs(result) + error * abs(result) * 10
        case "max":
            return complex(max(reals)), error
        case "min":
            return complex(min(reals)), error
        case "mod" if len(reals) == 2 and reals[1]:
            return complex(first % reals[1]), error
        case "gcd" | "lcm" if all(abs(real - round(real)) < 1e-9 for real in reals):
            return complex((math.gcd if name == "gcd" else math.lcm)(*(round(real) for real in reals))), 0.0
    raise NoValue(f"{name} has no value here")


def binomial(n: float, k: float) -> float:
    if k == round(k) and 0 <= k <= 400:
        return math.prod((n - j) / (j + 1) for j in range(int(k)))
    sign = 1.0
    total = 0.0
    for argument, direction in ((n + 1, 1), (k + 1, -1), (n - k + 1, -1)):
        total += direction * math.lgamma(argument)
        sign *= math.copysign(1, math.gamma(argument)) if argument < 170 else 1
    return sign * math.exp(total)


ELEMENTARY = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "cot": lambda z: 1 / cmath.tan(z),
    "sec": lambda z: 1 / cmath.cos(z),
    "csc": lambda z: 1 / cmath.sin(z),
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "arccot": lambda z: math.pi / 2 - cmath.atan(z),
    "arcsec": lambda z: cmath.acos(1 / z),
    "arccsc": lambda z: cmath.asin(1 / z),
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "coth": lambda z: 1 / cmath.tanh(z),
    "sech": lambda z: 1 / cmath.cosh(z),
    "csch": lambda z: 1 / cmath.sinh(z),
    "arcsinh": cmath.asinh,
    "arccosh": cmath.acosh,
    "arctanh": cmath.atanh,
    "ln": cmath.log,
    "exp": cmath.exp,
    "cis": lambda z: cmath.exp(1j * z),
    "Re": lambda z: complex(z.real),
    "Im": lambda z: complex(z.imag),
    "arg": lambda z: complex(cmath.phase(z)),
}
