"""A place in a listing as an opaque word: 32 characters that callers hand back as they got them."""

import base64
import binascii
import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID

from storage.postgres import Position

LAYOUT = struct.Struct(">q16s")  # microseconds since 1970, the id's bytes
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def encode_cursor(position: Position) -> str:
    packed = LAYOUT.pack((position.listed_at - EPOCH) // MICROSECOND, position.id.bytes)
    return base64.urlsafe_b64encode(packed).decode()


def decode_cursor(cursor: str) -> Position:
    """Raises ValueError for what `encode_cursor` never gave out."""
    try:
        packed = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        microseconds, id_bytes = LAYOUT.unpack(packed)
        return Position(EPOCH + timedelta(microseconds=microseconds), UUID(bytes=id_bytes))
    except (binascii.Error, struct.error, UnicodeEncodeError, OverflowError) as error:
        raise ValueError("not a cursor of this API") from error
