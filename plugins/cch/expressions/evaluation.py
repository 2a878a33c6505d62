"""One evaluation: JSONata's own rules, with every step counted and whole numbers kept exact."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from cch.expressions.bounds import MAX_RANGE, NAMES, BoundMetError, Meter, check_text
from cch.expressions.functions import FunctionError, canonical, natives, string
from cch.expressions.library import (
    Frame,
    Jsonata,
    JsonataError,
    create_sequence,
    is_function,
    is_lambda,
    is_regex,
    null,
)
from cch.expressions.numbers import NumberError, calculated, is_number, normal
from cch.expressions.patterns import linear
from cch.values import MISSING

#: Characters of a value that a message shows.
_SHOWN = 80
#: Items of a list that a message shows.
_FEW = 10
_NATIVES = natives()


class EvaluationError(Exception):
    """The evaluation failed. ``position``: characters from the beginning of the expression; -1 if it is unknown."""

    def __init__(self, message: str, position: int = -1) -> None:
        super().__init__(message)
        self.position = position


def engine(pattern: str, flags: Any) -> Any:
    """A regular expression of JSONata.

    :raises ValueError: see :func:`~cch.expressions.patterns.linear`.
    """
    letters = ("i" if flags.case_insensitive else "") + ("m" if flags.multiline else "")
    return linear(pattern, letters)


class Compiled(Jsonata):  # type: ignore[misc]
    """A parsed expression; :meth:`run` evaluates a copy of it, so that threads and evaluations share nothing."""

    def __init__(self, text: str) -> None:
        super().__init__(text, engine)
        self.environment = Frame(_NATIVES)
        self.set_validate_input(validate_input=False)
        self.set_output_convert_nulls(output_convert_nulls=False)
        self.meter = Meter()
        self.failed_at = -1
        self.met = ""

    def get_per_thread_instance(self) -> Compiled:
        return self

    def run(self, context: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
        """The value, or :data:`~cch.values.MISSING`.

        :raises EvaluationError: it failed, or met a bound.
        """
        one = copy.copy(self)
        one.meter = Meter(context, *names.values())
        Jsonata.CURRENT.jsonata = one
        try:
            given = {name: _given(names[name]) if name in names else None for name in NAMES}
            value = one.evaluate(context, given)
            one.meter.check(value)
            return plain(value)
        except (BoundMetError, NumberError, FunctionError) as error:
            raise EvaluationError(str(error) + one.met, one.failed_at) from None
        except RecursionError:
            raise EvaluationError("it is nested too deep", one.failed_at) from None
        except JsonataError as error:
            where = one.failed_at if one.failed_at >= 0 else error.location
            raise EvaluationError(f"{error}{one.met}", where) from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # The library raises what Python does where a value is not of the type that a function needs.
            raise EvaluationError(f"{type(error).__name__}: {error}{one.met}", one.failed_at) from None
        finally:
            del Jsonata.CURRENT.jsonata

    # --- counting -------------------------------------------------------------------------------------------------

    def _eval(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002 - as the library names it
        meter = self.meter
        meter.enter()
        try:
            if expr.type in ("descendant", "wildcard"):
                meter.read_whole(input)
            result = super()._eval(expr, input, environment)
            meter.take(result)
        except Exception:
            if self.failed_at < 0:
                self.failed_at = expr.position
            raise
        finally:
            meter.leave()
        return result

    def apply_inner(self, proc: Any, args: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        if is_regex(proc):
            for each in args:
                self.meter.read_whole(each)
        try:
            return super().apply_inner(proc, args, input, environment)
        except Exception:
            if is_function(proc):
                self._note(f"${proc.function_name}({', '.join(map(shown, args))})")
            raise

    def evaluate_wildcard(self, expr: Any, input: Any) -> Any:  # noqa: A002, ARG002
        """As the library's, whose time grows with the square of the number of lists."""
        if getattr(input, "outer_wrapper", False) and input:
            input = input[0]  # noqa: A001
        result = create_sequence()
        for value in input.values() if isinstance(input, dict) else input if isinstance(input, list) else ():
            if isinstance(value, list):
                result.extend(self.flatten(value, None))
            else:
                result.append(value)
        return result

    def evaluate_range_expression(self, lhs: Any, rhs: Any) -> Any:
        """Numbers from ``lhs`` to ``rhs``."""
        for side, code in ((lhs, "T2003"), (rhs, "T2004")):
            if side is not None and not (is_number(side) and isinstance(side, int)):
                raise JsonataError(code, -1, side)
        if lhs is None or rhs is None or lhs > rhs:
            return None
        if rhs - lhs >= MAX_RANGE:
            raise BoundMetError(f"a range has more than {MAX_RANGE} numbers")
        result = create_sequence()
        result.extend(range(lhs, rhs + 1))
        return result

    # --- operators ------------------------------------------------------------------------------------------------

    def _note(self, what: str) -> None:
        self.met = self.met or f"; it met {what}"

    def _true(self, value: Any) -> bool:
        if isinstance(value, list):
            self.meter.read_whole(value)
        return bool(Jsonata.boolize(value))

    def evaluate_binary(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        operator = str(expr.value)
        left = self.eval(expr.lhs, input, environment)
        if operator in ("and", "or"):
            if self._true(left) != (operator == "and"):
                return operator == "or"
            return self._true(self.eval(expr.rhs, input, environment))
        right = self.eval(expr.rhs, input, environment)
        try:
            return self._operated(left, operator, right)
        except Exception:
            self._note(f"{shown(left)} {operator} {shown(right)}")
            raise

    def _operated(self, left: Any, operator: str, right: Any) -> Any:
        match operator:
            case "+" | "-" | "*" | "/" | "%":
                for side, code in ((left, "T2001"), (right, "T2002")):
                    if side is not None and not is_number(side):
                        raise JsonataError(code, -1, operator, side)
                return None if left is None or right is None else calculated(left, operator, right)
            case "=" | "!=":
                if left is None or right is None:
                    return False
                return self._same(left, right) == (operator == "=")
            case "<" | "<=" | ">" | ">=":
                return self._compared(left, operator, right)
            case "&":
                return self._joined(left, right)
            case "..":
                return self.evaluate_range_expression(left, right)
            case "in":
                if left is None or right is None:
                    return False
                among = right if isinstance(right, list) else [right]
                self.meter.charge(len(among))
                return any(self._same(each, left) for each in among)
            case _:
                raise JsonataError("S0201", -1, operator)

    def _same(self, left: Any, right: Any) -> bool:
        if isinstance(left, list | dict) and isinstance(right, list | dict):
            self.meter.read_whole(left)
            self.meter.read_whole(right)
            return canonical(left) == canonical(right)
        if isinstance(left, list | dict) or isinstance(right, list | dict):
            return False
        return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)

    def _compared(self, left: Any, operator: str, right: Any) -> Any:
        for side in (left, right):
            if side is not None and not (is_number(side) or isinstance(side, str)):
                raise JsonataError("T2010", -1, operator, side)
        if left is None or right is None:
            return None
        if isinstance(left, str) != isinstance(right, str):
            raise JsonataError("T2009", -1, left, right, operator)
        return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]

    def _joined(self, left: Any, right: Any) -> str:
        for side in (left, right):
            if isinstance(side, list | dict):
                self.meter.read_whole(side)
        texts = ["" if side is None else string(side) for side in (left, right)]
        check_text(sum(map(len, texts)))
        return "".join(texts)

    def evaluate_unary(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        if str(expr.value) != "-":
            return super().evaluate_unary(expr, input, environment)
        value = self.eval(expr.expression, input, environment)
        if value is not None and not is_number(value):
            raise JsonataError("D1002", expr.position, "-", value)
        return None if value is None else normal(-value)


def _given(value: Any) -> Any:
    return null if value is None else value


def shown(value: Any) -> str:
    """A value as a message shows it."""
    if value is None:
        return "nothing"
    if is_function(value) or is_lambda(value) or is_regex(value):
        return "a function"
    if isinstance(value, list | dict) and len(value) > _FEW:
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = json.dumps(value, ensure_ascii=False, default=lambda inner: None if inner is null else "…")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def plain(value: Any) -> Any:
    """The value as plain JSON, or :data:`~cch.values.MISSING`.

    What was matched is copied, so that nobody changes the context.

    :raises FunctionError: there is a function in it.
    """
    return MISSING if value is None else _plain(value)


def _plain(value: Any) -> Any:
    if value is None or value is null:
        return None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, str | int | float):
        return value
    raise FunctionError("the result is a function, which is no value")


__all__ = ["Compiled", "EvaluationError", "shown"]
