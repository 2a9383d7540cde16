"""Values of expression trees in complex floats, with a running error bound.

The bound makes comparison sound: two values are equal when they differ by no more than rounding can explain.
"""

import math
import zlib
from collections.abc import Mapping

from deepscaler.reward.strict.compare.functions import EPSILON, NoValue, Value, call, power
from deepscaler.reward.strict.tree import Node, symbols
from deepscaler.reward.verdicts import Refused

MAX_TERMS = 300
MAX_NESTED_SERIES = 2
MAX_STEPS = 6000
SIGNIFICANT = 6
"""Digits from which a decimal may stand for a number that it rounds."""


class TooMuchWork(Refused):
    """Evaluating the expression at one point takes more steps than any real answer needs."""


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
        self.left_reals = False
        """Whether a function of real numbers had no real value: its complex one, on a branch, need not be meant."""

    def value(self, node: Node) -> Value:
        """Value and error bound.

        Raises:
            NoValue: there is no finite value here.
        """
        try:
            value, error = self._value(node)
        except (ArithmeticError, ValueError, RecursionError) as problem:
            raise NoValue(str(problem), isinstance(problem, OverflowError)) from problem
        if not (math.isfinite(value.real) and math.isfinite(value.imag) and math.isfinite(error)):
            raise NoValue("not finite", out_of_range=True)
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
            error += float(node.ulp) / 2
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
        if a * b == 0 and a and b:
            raise NoValue("too small", out_of_range=True)
        return a * b, abs(a) * db + abs(b) * da + EPSILON * abs(a * b)

    def _divide(self, node: Node) -> Value:
        (a, da), (b, db) = self._value(node.parts[0]), self._value(node.parts[1])
        if abs(b) <= 4 * db:
            raise NoValue("division by zero")
        if a / b == 0 and a:
            raise NoValue("too small", out_of_range=True)
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
        result = power(a, da, b, db)
        self.left_reals |= result[0].imag != 0 and a.imag == 0 and b.imag == 0
        return result

    def _plusminus(self, node: Node) -> Value:
        raise NoValue("two values")

    def _opaque(self, node: Node) -> Value:
        """An unknown function: some smooth function of its arguments, the same for the same name."""
        phase, error = zlib.crc32(node.name.encode()) / 2.0**28, 0.0
        for index, part in enumerate(node.parts):
            value, bound = self._value(part)
            weight = 0.83 + 0.29 * index
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
        result = call(node.name, values, self.log_base)
        self.left_reals |= result[0].imag != 0 and all(value.imag == 0 for value, _ in values)
        return result
