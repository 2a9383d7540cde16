"""Values of expression trees: exact rationals where they are, else complex floats with a running error bound.

The bound makes comparison sound: two values are equal when they differ by no more than rounding can explain.
"""

import cmath
import math
from collections.abc import Mapping
from fractions import Fraction

from ..verdicts import Refused
from .tree import Node, symbols

MAX_BITS = 6000
MAX_EXACT_FACTORIAL = 1000
MAX_TERMS = 300
MAX_NESTED_SERIES = 2
MAX_STEPS = 6000
EPSILON = 2.0**-52

Value = tuple[complex, float]
"""A value and a bound on its error."""


class NoValue(Exception):
    """The expression has no such value here: a pole, an overflow, or a symbol without a value."""


class TooMuchWork(Refused):
    """Evaluating the expression at one point takes more steps than any honest answer needs."""


def exact(node: Node) -> Fraction | None:
    """The rational value of a tree without symbols, or None where it has none that is cheap to have."""
    parts: list[Fraction] = []
    if node.kind not in _EXACT_KINDS:
        return None
    for part in node.parts:
        value = exact(part)
        if value is None:
            return None
        parts.append(value)
    result = _exact_value(node, parts)
    if result is not None and result.numerator.bit_length() + result.denominator.bit_length() > MAX_BITS:
        return None
    return result


_EXACT_KINDS = frozenset(("number", "add", "multiply", "divide", "power", "negate", "call", "percent"))


def _exact_value(node: Node, parts: list[Fraction]) -> Fraction | None:
    match node.kind:
        case "number":
            return node.number
        case "add":
            return sum(parts, Fraction(0))
        case "multiply":
            return parts[0] * parts[1]
        case "divide":
            return parts[0] / parts[1] if parts[1] else None
        case "negate":
            return -parts[0]
        case "percent":
            return parts[0] / 100
        case "power":
            return _exact_power(*parts)
        case "call":
            return _exact_call(node.name, parts)
    return None


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        return _exact_root(base, exponent.denominator, exponent.numerator)
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * size > MAX_BITS or (base == 0 and exponent <= 0):
        return None
    return base ** int(exponent)


def _exact_root(base: Fraction, degree: int, power: int = 1) -> Fraction | None:
    """base ** (power / degree) where that is rational and base is not negative."""
    if base < 0 or degree > 64 or degree < 1 or abs(power) > 64 or (base == 0 and power <= 0):
        return None
    roots = []
    for value in (base.numerator, base.denominator):
        if value.bit_length() > 900:
            return None
        guess = round(value ** (1 / degree)) if value.bit_length() < 50 else _integer_root(value, degree)
        if guess**degree != value:
            return None
        roots.append(guess)
    return _exact_power(Fraction(*roots), Fraction(power))


def _integer_root(value: int, degree: int) -> int:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low


def _exact_call(name: str, parts: list[Fraction]) -> Fraction | None:
    first = parts[0]
    whole = all(part.denominator == 1 for part in parts)
    if name == "sqrt":
        return _exact_root(first, 2)
    if name == "abs":
        return abs(first)
    if name in ("floor", "ceil"):
        return Fraction(math.floor(first) if name == "floor" else math.ceil(first))
    if name in ("max", "min"):
        return max(parts) if name == "max" else min(parts)
    if name == "factorial" and whole and 0 <= first <= MAX_EXACT_FACTORIAL:
        return Fraction(math.factorial(int(first)))
    if name == "factorial2" and whole and 0 <= first <= MAX_EXACT_FACTORIAL:
        return Fraction(math.prod(range(int(first), 0, -2)))
    if name == "binom" and len(parts) == 2 and whole and 0 <= parts[1] <= first <= 2000:
        return Fraction(math.comb(int(first), int(parts[1])))
    if name in ("gcd", "lcm") and whole:
        return Fraction((math.gcd if name == "gcd" else math.lcm)(*(int(part) for part in parts)))
    if name == "mod" and parts[1]:
        return first % parts[1]
    return None


class Evaluator:
    """Evaluates trees in floats at one point, within a budget of steps.

    `decimals_rounded`: long decimals stand for anything that they round or cut off.
    `plus` is the sign that ± stands for; `log_base` what a bare log has; `degrees` whether ° converts to radians.
    """

    def __init__(
        self,
        point: Mapping[str, float],
        decimals_rounded: bool = False,
        log_base: float = math.e,
    ) -> None:
        self.point = dict(point)
        self.decimals_rounded = decimals_rounded
        self.log_base = log_base
        self.steps = 0
        self.nested = 0
        self.indexed: dict[int, bool] = {}

    def value(self, node: Node) -> Value:
        """Value and error bound.

        Raises:
            NoValue: there is no finite value here.
        """
        try:
            value, error = self._value(node)
        except (ArithmeticError, ValueError, RecursionError) as problem:
            raise NoValue(str(problem)) from problem
        if not (math.isfinite(value.real) and math.isfinite(value.imag) and math.isfinite(error)):
            raise NoValue("not finite")
        return value, error

    def _value(self, node: Node) -> Value:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooMuchWork("too many steps to evaluate")
        method = getattr(self, "_" + node.kind)
        value: Value = method(node)
        return value

    def _number(self, node: Node) -> Value:
        value = complex(node.number.numerator / node.number.denominator)
        error = abs(value) * EPSILON
        if self.decimals_rounded and node.digits >= SIGNIFICANT:
            error += float(node.ulp)
        return value, error

    def _symbol(self, node: Node) -> Value:
        if node.name not in self.point:
            raise NoValue(f"symbol {node.name}")
        return complex(self.point[node.name]), 0.0

    def _constant(self, node: Node) -> Value:
        if node.name == "infinity":
            raise NoValue("infinity")
        value = {"pi": math.pi, "e": math.e, "i": 1j}[node.name]
        return complex(value), EPSILON * abs(value)

    def _add(self, node: Node) -> Value:
        total, error = 0j, 0.0
        for part in node.parts:
            value, bound = self._value(part)
            total += value
            error += bound + EPSILON * abs(total)
        return total, error

    def _multiply(self, node: Node) -> Value:
        (a, da), (b, db) = self._value(node.parts[0]), self._value(node.parts[1])
        return a * b, abs(a) * db + abs(b) * da + EPSILON * abs(a * b)

    def _divide(self, node: Node) -> Value:
        (a, da), (b, db) = self._value(node.parts[0]), self._value(node.parts[1])
        if abs(b) <= 4 * db:
            raise NoValue("division by zero")
        return a / b, (da + abs(a / b) * db) / abs(b) + EPSILON * abs(a / b)

    def _negate(self, node: Node) -> Value:
        value, error = self._value(node.parts[0])
        return 0j - value, error  # not -value, whose imaginary part would be -0 and on the far side of branch cuts

    def _percent(self, node: Node) -> Value:
        value, error = self._value(node.parts[0])
        return value / 100, error / 100

    def _degree(self, node: Node) -> Value:
        value, error = self._value(node.parts[0])
        return value * math.pi / 180, error * math.pi / 180 + EPSILON * abs(value)

    def _power(self, node: Node) -> Value:
        (a, da), (b, db) = self._value(node.parts[0]), self._value(node.parts[1])
        return _power(a, da, b, db)

    def _plusminus(self, node: Node) -> Value:
        raise NoValue("two values")

    def _opaque(self, node: Node) -> Value:
        """An unknown function: some smooth function of its arguments, the same for the same name."""
        phase, error = (sum(map(ord, node.name)) % 97) / 9.7, 0.0
        for place, part in enumerate(node.parts):
            value, bound = self._value(part)
            weight = 0.83 + 0.29 * place
            phase += weight * math.atan(value.real) + 0.61 * weight * math.atan(value.imag) + 0.01 * value.real
            error += bound
        return complex(1.9 + math.sin(3 * phase)), 9 * error + EPSILON * 9

    def _series(self, node: Node) -> Value:
        variable, lower, upper, body = node.parts
        try:
            start, stop = self._value(lower)[0], self._value(upper)[0]
        except NoValue:
            return self._opaque_series(node)
        countable = all(abs(end - round(end.real)) < 1e-9 for end in (start, stop))
        if (
            self.nested >= MAX_NESTED_SERIES
            or not countable
            or stop.real - start.real > MAX_TERMS
            or self._has_opaque_index(body, variable.name)
        ):
            return self._opaque_series(node)
        shadowed = self.point.get(variable.name)
        self.nested += 1
        total, error = (0j, 0.0) if node.name == "sum" else (1 + 0j, 0.0)
        for index in range(round(start.real), round(stop.real) + 1):
            self.point[variable.name] = float(index)
            value, bound = self._value(body)
            if node.name == "sum":
                total, error = total + value, error + bound + EPSILON * abs(total)
            else:
                total, error = total * value, error * abs(value) + abs(total) * bound + EPSILON * abs(total * value)
        self.nested -= 1
        self._restore(variable.name, shadowed)
        return total, error

    def _has_opaque_index(self, body: Node, variable: str) -> bool:
        """Whether a symbol of `body` carries the series' variable in its subscript, as in a_{k}."""
        if id(body) not in self.indexed:
            names = symbols(body)
            self.indexed[id(body)] = any("_" in name and variable in name.partition("_")[2] for name in names)
        return self.indexed[id(body)]

    def _opaque_series(self, node: Node) -> Value:
        variable, lower, upper, body = node.parts
        shadowed = self.point.get(variable.name)
        ends = [part for part in (lower, upper) if part.kind != "constant" or part.name != "infinity"]
        try:
            self.point[variable.name] = 1.37
            return self._opaque(Node("opaque", f"{node.name} {len(ends)}", (*ends, body)))
        finally:
            self._restore(variable.name, shadowed)

    def _restore(self, name: str, value: float | None) -> None:
        if value is None:
            self.point.pop(name, None)
        else:
            self.point[name] = value

    def _call(self, node: Node) -> Value:
        values = [self._value(part) for part in node.parts]
        a, da = values[0]
        name = node.name
        if name in _ELEMENTARY:
            result = _ELEMENTARY[name](a)
            # the slope by a step well above rounding; generous, as a bound should be
            step = 1e-6 * (1 + abs(a))
            slope = abs(_ELEMENTARY[name](a + step) - result) / step if da else 0.0
            return result, 2 * slope * da + 4 * EPSILON * (abs(result) + EPSILON)
        if name == "sqrt":
            return _power(a, da, 0.5 + 0j, 0.0)
        if name in ("root", "cbrt"):
            degree = values[1][0].real if name == "root" else 3.0
            if abs(a.imag) <= da and a.real < 0 and degree % 2 == 1:
                value, error = _power(-a, da, complex(1 / degree), EPSILON)
                return -value, error
            return _power(a, da, complex(1 / degree), EPSILON)
        if name == "log" and len(values) == 2:
            b, _ = values[1]
            return cmath.log(a) / cmath.log(b), (da / abs(a) + 4 * EPSILON) / abs(cmath.log(b)) * (
                1 + abs(cmath.log(a))
            )
        if name in ("log", "lg"):
            divisor = math.log(self.log_base if name == "log" else 10)
            return cmath.log(a) / divisor, (da / abs(a) + EPSILON * (1 + abs(cmath.log(a)))) / divisor
        if name == "abs":
            return complex(abs(a)), da
        return _real_call(name, [value for value, _ in values], max(error for _, error in values))


SIGNIFICANT = 6
"""Digits from which a decimal may stand for a number that it rounds."""


def _power(a: complex, da: float, b: complex, db: float) -> Value:
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
    relative = abs(b) * da / abs(a) + abs(cmath.log(a)) * (db + EPSILON * abs(b)) + EPSILON
    return result, abs(result) * relative


def _real_call(name: str, values: list[complex], error: float) -> Value:
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
            result = _binomial(reals[0], reals[1])
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


def _binomial(n: float, k: float) -> float:
    if k == round(k) and 0 <= k <= 400:
        return math.prod((n - j) / (j + 1) for j in range(int(k)))
    sign = 1.0
    total = 0.0
    for argument, direction in ((n + 1, 1), (k + 1, -1), (n - k + 1, -1)):
        total += direction * math.lgamma(argument)
        sign *= math.copysign(1, math.gamma(argument)) if argument < 170 else 1
    return sign * math.exp(total)


_ELEMENTARY = {
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
    "Re": lambda z: complex(z.real),
    "Im": lambda z: complex(z.imag),
    "arg": lambda z: complex(cmath.phase(z)),
}
