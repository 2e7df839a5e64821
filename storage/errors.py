"""What the adapters raise among themselves; callers meet `pipeline.errors` alone."""

from pipeline.errors import HeraldError


class RecordRefused(HeraldError):
    """A record breaks the schema and can never be stored: `storage.salvage` turns it into a rejected item."""
