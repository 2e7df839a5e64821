import pytest

from pipeline.errors import NotAsked, PermanentError, TransientError, Unavailable
from pipeline.notifications import Channel
from pipeline.ports import Accepted
from providers.email.smtp import SmtpEmail
from simulators.faults import CallFault, Faults, Refusal
from simulators.launch import Kind, Simulator
from tests.integration.providers.provider_contract import CONNECTIONS, ProviderContract, kinds


class TestSmtpEmail(ProviderContract):
    kind = Kind.SMTP
    channel = Channel.EMAIL
    good, other, bad, busy = "good@example.org", "other@example.org", "bad@example.org", "busy@example.org"
    throttled_kind = TransientError
    error_kind = TransientError
    throttled_wait_s = None
    reset_kind = Unavailable
    doubtful_status = 554
    doubtful_kind = PermanentError

    def make(self, simulator: Simulator, *, timeout_s: float) -> SmtpEmail:
        return SmtpEmail(
            "127.0.0.1",
            simulator.port,
            sender="Cargo Herald <herald@example.org>",
            timeout_s=timeout_s,
            connections=CONNECTIONS,
        )

    async def test_a_refusal_costs_no_connection(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(refuse=(Refusal(pattern=self.bad),)))
        before = simulator.summary().connections
        async with self.provider(simulator) as provider:
            for address, kind in [(self.bad, PermanentError), (self.good, Accepted), (self.bad, PermanentError)]:
                assert kinds(await provider.send([self.note(address)])) == [kind]
        assert simulator.summary().connections == before + 1

    async def test_421_ends_the_connection(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.ERROR, status=421, limit=1))
        before = simulator.summary().connections
        async with self.provider(simulator) as provider:
            assert kinds(await provider.send([self.note(self.good)])) == [Unavailable]
            assert kinds(await provider.send([self.note(self.good)])) == [Accepted]
        assert simulator.summary().connections == before + 2

    async def test_a_pooled_connection_that_broke_is_replaced(self, simulator: Simulator) -> None:
        async with self.provider(simulator) as provider:
            assert kinds(await provider.send([self.note(self.good)])) == [Accepted]
            simulator.set_faults(Faults(down=True))
            simulator.set_faults()
            assert kinds(await provider.send([self.note(self.good)])) == [Accepted]

    async def test_addresses_outside_ascii(self, simulator: Simulator) -> None:
        note = self.note("почта@пример.рф")
        assert kinds(await self.send(simulator, note)) == [Accepted]
        assert [entry.to for entry in self.entries(simulator, note)] == [note.address]

    @pytest.mark.parametrize("address", ["", "nobody", "a@b@c", "a b@c", "a@c>\r\nRCPT TO:<d@e", "\udc80@c"])
    async def test_what_is_no_address_reaches_no_server(self, simulator: Simulator, address: str) -> None:
        before = simulator.summary().requests
        assert kinds(await self.send(simulator, self.note(address, recipient="r"))) == [NotAsked]
        assert simulator.summary().requests == before
