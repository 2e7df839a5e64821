import pytest

pytest.register_assert_rewrite("tests.integration.providers.provider_contract")
