"""What can go wrong with an event or a delivery, and what each kind means for what happens next.

    HeraldError
    ├── InvalidInput            refused: to the dead letters with its reason, never retried
    ├── StorageUnavailable      the durable store cannot serve now: try the whole call again later
    ├── CacheUnavailable        the cache cannot serve now: go on without it
    └── DeliveryError           one provider call for one notification did not end in acceptance
        ├── TransientError      certainly not told: try again later
        │   ├── Throttled       not a failure: try later without spending an attempt
        │   └── Unavailable     the provider serves nobody now: says nothing about the message
        ├── PermanentError      certainly not told, and never will be: final
        │   └── NotAsked        refused by ourselves: says nothing about the provider
        └── Unconfirmed         perhaps told: the channel's policy decides

Anything else that is raised is a bug: it is logged, counted and dead-lettered, or ends the process.
"""


class HeraldError(Exception):
    """The root of what pipeline and its ports raise on purpose."""


class InvalidInput(HeraldError):
    """A record that breaks its contract.

    ``field`` is the path of what is wrong (``events[2].eventClassification``), or ``""`` for the document as a whole.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


class DeliveryError(HeraldError):
    """A notification that the provider did not accept.

    ``code`` is the provider's own, for people (``"550"``, ``"UNREGISTERED"``); ``problem`` carries no address or body.
    """

    def __init__(self, problem: str, *, code: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.code = code
        self.retry_after_s = retry_after_s


class TransientError(DeliveryError):
    """Certainly not told; may work later, not before ``retry_after_s`` where the provider said so."""


class Throttled(TransientError):
    """The provider asked for patience: later, without spending an attempt."""


class Unavailable(TransientError):
    """The provider as a whole did not serve the call: no connection, 503, our credentials turned down."""


class PermanentError(DeliveryError):
    """Certainly not told; the same call can never work (a bad address, an unregistered token)."""


class NotAsked(PermanentError):
    """No provider could take the message as it is (no address that email can be sent to), so that none was asked."""


class Unconfirmed(DeliveryError):
    """Perhaps told: the call may have reached the provider, and its answer did not reach us."""


class StorageUnavailable(HeraldError):
    """Nothing of the call is certain to be stored; every call is idempotent, so repeating it is safe."""


class CacheUnavailable(HeraldError):
    """Costs speed, nothing else: whatever the cache holds, Postgres or Kafka holds too."""
