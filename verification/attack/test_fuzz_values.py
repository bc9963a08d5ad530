"""What is read from files and from issuers; `make attack` does the same for longer."""

from attack.fuzz_values import fuzz_values


async def test_whatever_is_read_is_a_value_or_an_error_of_ours() -> None:
    """Settings, policy, keys, certificates, key sets, answers of issuers."""
    for figures in await fuzz_values(examples=150, seed=1):
        assert not figures.broken, figures.name
        assert figures.examples > 100
