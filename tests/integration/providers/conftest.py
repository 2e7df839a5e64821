import pytest

pytest.register_assert_rewrite("provider_contract")
