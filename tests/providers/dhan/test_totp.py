"""One-time passwords, by the test vectors of RFC 6238, appendix B."""

import pytest

from tapewire.providers.dhan.totp import secret_bytes, totp

SEED = b"1234567890"
KEYS = {"sha1": SEED * 2, "sha256": SEED * 3 + SEED[:2], "sha512": SEED * 6 + SEED[:4]}


@pytest.mark.parametrize(
    ("at_s", "sha1", "sha256", "sha512"),
    [
        (59, "94287082", "46119246", "90693936"),
        (1111111109, "07081804", "68084774", "25091201"),
        (1111111111, "14050471", "67062674", "99943326"),
        (1234567890, "89005924", "91819424", "93441116"),
        (2000000000, "69279037", "90698825", "38618901"),
        (20000000000, "65353130", "77737706", "47863826"),
    ],
)
def test_the_passwords_of_the_rfc(at_s: int, sha1: str, sha256: str, sha512: str) -> None:
    made = [totp(key, at_s, digits=8, digest=digest) for digest, key in KEYS.items()]
    assert made == [sha1, sha256, sha512]
    assert totp(KEYS["sha1"], at_s) == sha1[2:]


def test_a_password_holds_for_thirty_seconds() -> None:
    key = KEYS["sha1"]
    assert totp(key, 60.0) == totp(key, 89.9) != totp(key, 90.0)


@pytest.mark.parametrize(
    "secret", ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "gezd gnbv gy3t qojq-gezdgnbvgy3tqojq=="]
)
def test_a_secret_is_base_32_however_it_is_written(secret: str) -> None:
    assert secret_bytes(secret) == KEYS["sha1"]


def test_a_secret_that_is_none_is_not_shown() -> None:
    with pytest.raises(ValueError, match="expected base 32") as error:
        secret_bytes("hush1hush")
    assert "hush" not in str(error.value)
