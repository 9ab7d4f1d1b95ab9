"""Arrays between processes of ours: a JSON list of dtypes and shapes, then each array's bytes.

Of arrays of strings the elements follow as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_NAME

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def send_json(connection: Connection, value: Any) -> None:
    """Sends a value that JSON knows."""
    connection.send_bytes(json.dumps(value).encode())


def receive_json(connection: Connection) -> Any:
    """What `send_json` sent."""
    return json.loads(connection.recv_bytes())


def send_arrays(connection: Connection, arrays: Sequence[Array]) -> None:
    """Sends arrays of any dtype that a network's values have."""
    send_json(connection, [[array.dtype.name, array.shape] for array in arrays])
    for array in arrays:
        if array.dtype == object:
            texts = [[isinstance(t, bytes), _text(t)] for t in array.reshape(-1)]
            send_json(connection, texts)
        elif array.size:
            ours = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
            connection.send_bytes(ours.reshape(-1).view(np.uint8).data)


def receive_arrays(connection: Connection) -> list[Array]:
    """What `send_arrays` sent."""
    arrays: list[Array] = []
    for name, shape in receive_json(connection):
        array: Array = np.empty(shape, BY_NAME[name].dtype if name in BY_NAME else name)
        if array.dtype == object:
            texts = receive_json(connection)
            array.reshape(-1)[:] = [t.encode("latin-1") if raw else t for raw, t in texts]
        elif array.size:
            connection.recv_bytes_into(array.reshape(-1).view(np.uint8).data)
        arrays.append(array)
    return arrays


def _text(element: str | bytes) -> str:
    return element.decode("latin-1") if isinstance(element, bytes) else element
