"""A value that Faust must not touch: a fetch is handed to its agent as it is."""

from typing import Any

from faust.serializers.codecs import Codec


class Identity(Codec):
    def _loads(self, s: Any) -> Any:
        return s

    def _dumps(self, s: Any) -> Any:
        return s

    def loads(self, s: Any) -> Any:
        return s

    def dumps(self, s: Any) -> Any:
        return s


IDENTITY = Identity()
