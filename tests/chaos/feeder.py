"""How is a pipeline under fire fed? Continuously, on a schedule, by a process that tells the truth about each record.

    python -m tests.chaos.feeder --kafka HOST:PORT --ledger FILE --seed 1 --rate 50

It prints ``ready`` once the first event is acknowledged, goes on until SIGTERM, then waits for the broker's last words
and ends: with 0 where every record has one. While the broker is away it goes on publishing: what is not acknowledged
in time is ``unknown``, for the broker may have it.
"""

import argparse
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import msgspec
from confluent_kafka import KafkaError, Message, Producer

import topics
from pipeline.notifications import Channel
from streaming.producer import MAX_RECORD_BYTES, Headers
from tests.chaos.load import EVENTS_A_SHIPMENT, Document, Load, LoadPolicy
from tests.chaos.published import ID_HEADER, Kind, Line, Told
from tests.e2e.cargo import Shipment, unique

DELIVERY_TIMEOUT_S = 30.0
FIRST_SHIPMENTS = 10
SUBSCRIBE_AGAIN_S = 1.0
# Lines are on disk this soon after the broker's word, at the latest.
POLL_S = 0.05
LAST_WORDS_S = 5.0
LOCAL_QUEUE_MESSAGES = 1_000_000

# Only these say that no broker ever took the record; whatever else went wrong, an earlier try of it may have arrived.
REFUSED = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
    }
)


class Feeder:
    """For one thread: the client calls back from within `run` alone."""

    def __init__(
        self, *, kafka: str, ledger: Path, load: Load, rate: float, delivery_timeout_s: float, stopping: threading.Event
    ) -> None:
        self._load = load
        self._rate = rate
        self._stopping = stopping
        self._delivery_timeout_s = delivery_timeout_s
        self._ledger = ledger.open("ab", buffering=0)
        self._encode = msgspec.json.Encoder().encode
        self._unwritten = bytearray()
        self._is_ready = False
        self._producer = Producer(
            {
                "bootstrap.servers": kafka,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "message.max.bytes": MAX_RECORD_BYTES,
                "delivery.timeout.ms": round(delivery_timeout_s * 1000),
                # Not to sit out a long pause when the broker is back.
                "reconnect.backoff.max.ms": 1_000,
                "queue.buffering.max.messages": LOCAL_QUEUE_MESSAGES,
                "linger.ms": 5,
                # What goes wrong is in the ledger, record by record.
                "log_level": 0,
            }
        )

    def run(self) -> bool:
        """Blocks until told to stop; whether the broker's word on every record was had."""
        self._begin()
        began, documents = time.monotonic(), 0
        while not self._stopping.is_set():
            wait_s = began + documents / self._rate - time.monotonic()
            if wait_s > 0:
                self._listen(min(wait_s, POLL_S))
                continue
            if documents % EVENTS_A_SHIPMENT == 0:
                self._subscribe(self._load.new_shipment())
            self._tell(self._load.next_document())
            documents += 1
            self._listen(0)
        return self._end()

    def _begin(self) -> None:
        """Returns when there is a shipment that may be told about, or it is time to stop."""
        again_at = time.monotonic()
        while not (self._load.can_go_on or self._stopping.is_set()):
            if time.monotonic() >= again_at:
                for _ in range(FIRST_SHIPMENTS):
                    self._subscribe(self._load.new_shipment())
                again_at += SUBSCRIBE_AGAIN_S
            self._listen(POLL_S)

    def _end(self) -> bool:
        left = self._producer.flush(self._delivery_timeout_s + LAST_WORDS_S)
        if left:
            self._producer.purge()
            self._producer.flush(LAST_WORDS_S)
        self._listen(0)
        self._ledger.close()
        return not left

    def _subscribe(self, shipment: Shipment) -> None:
        line = Line(
            kind=Kind.SUBSCRIPTION,
            id=shipment.id,
            shipment=shipment.id,
            at=time.time(),
            told=Told.UNKNOWN,
            recipients=tuple(one.id for one in shipment.people),
            channels=shipment.channels,
        )
        self._publish(topics.SUBSCRIPTIONS, shipment, shipment.subscription(), [], line)

    def _tell(self, document: Document) -> None:
        headers: Headers = [(ID_HEADER, document.id.encode())]
        if document.content_type is not None:
            headers.append(("content-type", document.content_type))
        line = Line(
            kind=document.kind,
            id=document.id,
            shipment=document.shipment.id,
            at=time.time(),
            told=Told.UNKNOWN,
            way=document.way,
        )
        self._publish(topics.STATUS, document.shipment, document.value, headers, line)

    def _publish(self, topic: str, shipment: Shipment, value: bytes | None, headers: Headers, line: Line) -> None:
        heard = partial(self._heard, shipment, line)
        while True:
            try:
                self._producer.produce(topic, value, shipment.key, on_delivery=heard, headers=headers)
            except BufferError:
                # Bounded by the delivery timeout: past it, the records that fill the queue leave it.
                self._listen(POLL_S)
            else:
                return

    def _heard(self, shipment: Shipment, line: Line, error: KafkaError | None, message: Message) -> None:
        if error is None:
            # What the broker had already, sent again for want of an answer, may have no offset.
            offset = -1 if message.offset() is None else message.offset()
            told = msgspec.structs.replace(
                line, told=Told.OK, topic=message.topic(), partition=message.partition(), offset=offset
            )
        else:
            told = msgspec.structs.replace(
                line, told=Told.FAILED if error.code() in REFUSED else Told.UNKNOWN, error=error.str()
            )
        self._unwritten += self._encode(told) + b"\n"
        if error is None and line.kind is Kind.SUBSCRIPTION:
            self._load.follow(shipment)
        if error is None and line.kind is Kind.EVENT and not self._is_ready:
            self._is_ready = True
            sys.stdout.write("ready\n")
            sys.stdout.flush()

    def _listen(self, wait_s: float) -> None:
        self._producer.poll(wait_s)
        if self._unwritten:
            self._ledger.write(self._unwritten)
            self._unwritten.clear()


def main() -> None:
    options = _options()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    load = Load(
        LoadPolicy(
            prefix=options.prefix or unique("feed"),
            seed=options.seed,
            people=options.people,
            channels=options.channels,
            poison=options.poison,
            urgent=options.urgent,
        )
    )
    feeder = Feeder(
        kafka=options.kafka,
        ledger=options.ledger,
        load=load,
        rate=options.rate,
        delivery_timeout_s=options.delivery_timeout_s,
        stopping=stopping,
    )
    if not feeder.run():
        sys.exit("the broker's word on some records was not had: they stand as unknown")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Feeds status events to a pipeline and keeps a ledger of them.")
    parser.add_argument("--kafka", required=True, help="bootstrap servers")
    parser.add_argument("--ledger", required=True, type=Path, help="lines are appended to this file")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--rate", required=True, type=float, help="documents a second; subscriptions come on top")
    parser.add_argument("--people", type=int, default=2, help="who follow each shipment")
    parser.add_argument("--channels", type=_channels, default=tuple(Channel), help="sms,email,push")
    parser.add_argument("--poison", type=float, default=0.1, help="the share of documents that must be refused")
    parser.add_argument("--urgent", type=float, default=0.2, help="the share of events that go by the urgent lane")
    parser.add_argument("--prefix", help="of every name; by default one that nobody else has")
    parser.add_argument("--delivery-timeout-s", type=float, default=DELIVERY_TIMEOUT_S)
    return parser.parse_args()


def _channels(text: str) -> tuple[Channel, ...]:
    return tuple(Channel(name) for name in text.split(","))


if __name__ == "__main__":
    main()
