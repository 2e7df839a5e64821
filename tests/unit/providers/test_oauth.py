"""Without an access token nobody has been told: the provider is away, whatever its token endpoint says."""

import asyncio
from types import SimpleNamespace

import pytest

from pipeline.errors import DeliveryError, Throttled, Unavailable, Unconfirmed
from providers.http import Answer
from providers.push.oauth import AccessTokens

GRANT = b'{"access_token":"t","expires_in":3600}'


class Endpoint:
    """Gives the next of ``answers``, or raises it."""

    def __init__(self, *answers: Answer | DeliveryError) -> None:
        self._answers = list(answers)

    async def post(self, *_: object, deadline: float) -> Answer:
        answer = self._answers.pop(0)
        if isinstance(answer, DeliveryError):
            raise answer
        return answer


def tokens(*answers: Answer | DeliveryError) -> AccessTokens:
    account = SimpleNamespace(token_uri="http://token", assertion=lambda now: "signed")
    return AccessTokens(account, Endpoint(*answers))  # type: ignore[arg-type]


async def ask(some: AccessTokens) -> str:
    return await some.get(deadline=asyncio.get_running_loop().time() + 5)


@pytest.mark.parametrize(
    ("answer", "problem", "code", "retry_after_s"),
    [
        (Answer(429, 7.0, b""), "the provider answered 429", "429", 7.0),
        (Answer(400, None, b"invalid_grant"), "the provider answered 400", "400", None),
        (Answer(503, None, b""), "the provider answered 503", "503", None),
        (Answer(200, None, b"<html>"), "the answer breaks its contract", "", None),
        (Unconfirmed("no answer in time"), "no answer in time", "", None),
    ],
)
async def test_what_goes_wrong_is_a_provider_that_is_away(
    answer: Answer | DeliveryError, problem: str, code: str, retry_after_s: float | None
) -> None:
    with pytest.raises(Unavailable, match=problem) as raised:
        await ask(tokens(answer))
    assert (raised.value.code, raised.value.retry_after_s) == (code, retry_after_s)


async def test_no_free_connection_of_ours_says_nothing_of_the_provider() -> None:
    with pytest.raises(Throttled):
        await ask(tokens(Throttled("no connection was free in time")))


async def test_a_token_serves_until_it_is_turned_down() -> None:
    some = tokens(Answer(200, None, GRANT), Answer(429, None, b""))
    assert [await ask(some), await ask(some)] == ["t", "t"]
    some.forget("t")
    with pytest.raises(Unavailable):
        await ask(some)
