"""What is used of ``jsonata-python``, in one place; loading it changes nothing else in the process."""

from __future__ import annotations

import sys
from typing import Any

_limit = sys.getrecursionlimit()
import jsonata as _jsonata  # noqa: E402
from jsonata import functions as _functions  # noqa: E402
from jsonata import jexception as _jexception  # noqa: E402
from jsonata import utils as _utils  # noqa: E402

# The library raises the limit for the whole process; expressions are bounded long before it.
sys.setrecursionlimit(_limit)

Jsonata: Any = _jsonata.Jsonata
Functions: Any = _functions.Functions
JsonataError: Any = _jexception.JException
Frame: Any = _jsonata.Jsonata.Frame
NativeFunction: Any = _jsonata.Jsonata.JNativeFunction
#: JSON's null inside an evaluation; Python's None is "nothing".
null: Any = _utils.Utils.NULL_VALUE
create_sequence: Any = _utils.Utils.create_sequence
is_function: Any = _utils.Utils.is_function
is_lambda: Any = _functions.Functions.is_lambda
is_regex: Any = _functions.Functions.is_regex
