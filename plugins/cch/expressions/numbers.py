"""Numbers of expressions: whole ones exact to 64 bits, fractions doubles; JSONata itself knows doubles only."""

from __future__ import annotations

import math
from typing import Any

from cch.expressions.bounds import INTEGER_BITS

_LOWEST, _HIGHEST = -(2 ** (INTEGER_BITS - 1)), 2**INTEGER_BITS - 1
#: Up to here every whole number is a double.
_EXACT = 2**53


class NumberError(ValueError):
    """There is no such number; the message says why."""


def is_number(value: Any) -> bool:
    """Whether it is a number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def normal(value: float) -> int | float:
    """The number as it is kept: a fraction without a fractional part is whole.

    :raises NumberError: it is not finite, or whole and beyond 64 bits.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NumberError("the result is no finite number")
        return int(value) if value.is_integer() and abs(value) <= _EXACT else value
    if not _LOWEST <= value <= _HIGHEST:
        raise NumberError(f"the result is a whole number of more than {INTEGER_BITS} bits")
    return value


def calculated(left: float, operator: str, right: float) -> int | float:
    """``left operator right`` for ``+ - * / %``; the remainder has the sign of ``left``, as in JSONata.

    :raises NumberError: a division by zero, or there is no such number.
    """
    if operator in "/%" and right == 0:
        raise NumberError("a division by zero")
    whole = isinstance(left, int) and isinstance(right, int)
    try:
        match operator:
            case "+":
                return normal(left + right)
            case "-":
                return normal(left - right)
            case "*":
                return normal(left * right)
            case "/":
                return normal(left // right if whole and left % right == 0 else left / right)
            case _:
                if whole:
                    rest = abs(left) % abs(right)
                    return normal(-rest if left < 0 else rest)
                return normal(math.fmod(left, right))
    except OverflowError:
        raise NumberError("the result is no finite number") from None


def power(base: float, exponent: float) -> int | float:
    """``base`` to the power of ``exponent``, exact where both are whole and the result has at most 64 bits.

    :raises NumberError: there is no such number.
    """
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(base) > 1 and exponent > INTEGER_BITS:
            raise NumberError(f"the result is a whole number of more than {INTEGER_BITS} bits")
        return normal(base ** (exponent % 2 + 2 if abs(base) <= 1 and exponent > 1 else exponent))
    try:
        result = float(base) ** float(exponent)
    except (OverflowError, ZeroDivisionError):
        raise NumberError("the result is no finite number") from None
    if isinstance(result, complex):
        raise NumberError("the result is no real number")
    return normal(result)
