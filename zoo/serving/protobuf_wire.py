"""The wire format of protocol buffers: enough to write and read messages without their classes.

TF Serving's own messages come in a package that nothing else here needs, and TensorFlow's are out
of reach where TensorFlow is not imported. Fields are numbered; see
https://protobuf.dev/programming-guides/encoding.
"""

VARINT, EIGHT_BYTES, LENGTH_DELIMITED, FOUR_BYTES = 0, 1, 2, 5


def field(number, payload):
    """A field of a message: a string, bytes, or an encoded message.

    Args:
        number: Field number, from the `.proto` file.
        payload: `bytes`, or `str` that is written as UTF-8.

    Returns:
        `bytes`; a message is the concatenation of its fields.

    Example:

    >>> field(1, "strike")
    b'\\n\\x06strike'
    """
    payload = payload.encode() if isinstance(payload, str) else payload
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(payload)) + payload


def fields(message):
    """The fields of an encoded message.

    Args:
        message: `bytes`.

    Returns:
        Dictionary from field number to the list of its values in order of appearance: `int` for
        a variable-length integer, `bytes` for everything else.

    Raises:
        ValueError: If the bytes are not a message.

    Example:

    >>> fields(field(1, "strike") + field(3, b""))
    {1: [b'strike'], 3: [b'']}
    """
    found, at = {}, 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _read_varint(message, at)
        else:
            if kind == LENGTH_DELIMITED:
                size, at = _read_varint(message, at)
            elif kind in (EIGHT_BYTES, FOUR_BYTES):
                size = 8 if kind == EIGHT_BYTES else 4
            else:
                raise ValueError(f"not a protobuf message: wire type {kind} at byte {at}")
            if at + size > len(message):
                raise ValueError(
                    f"not a protobuf message: field {number} ends beyond the last byte"
                )
            value, at = message[at : at + size], at + size
        found.setdefault(number, []).append(value)
    return found


def _varint(value):
    """Seven bits per byte, the lowest first; the top bit says that more follow."""
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _read_varint(message, at):
    value = shift = 0
    while True:
        if at >= len(message):
            raise ValueError("not a protobuf message: it ends inside a number")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at
