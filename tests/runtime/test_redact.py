"""Secrets do not reach what people read."""

import pytest

from tapewire.runtime.redact import Redactor, hide, redact


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("amqp://user:open-sesame@host:5672/v", "amqp://user:***@host:5672/v"),
        ("redis://:open-sesame@host/0 is gone", "redis://:***@host/0 is gone"),
        (
            "https://api.example.com/v1?apiKey=abc123&limit=1",
            "https://api.example.com/v1?apiKey=***&limit=1",
        ),
        ('{"action":"auth","params":"abc123"}', '{"action":"auth","params":"***"}'),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("ws://127.0.0.1:4200/stocks at 10:30:00", "ws://127.0.0.1:4200/stocks at 10:30:00"),
        ("T.AAPL: 12 tokens", "T.AAPL: 12 tokens"),
    ],
)
def test_text_loses_its_secrets_and_nothing_else(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_a_known_secret_is_hidden_wherever_it_turns_up() -> None:
    assert Redactor(["abc123"]).text("refused for abc123.") == "refused for ***."


def test_a_password_with_a_slash_or_at_sign_is_hidden_when_it_is_known() -> None:
    url = "amqp://user:a/b@c@host"
    assert "a/b@c" not in Redactor(["a/b@c"]).text(url)


def test_nested_fields_are_cleaned_by_name_and_by_text() -> None:
    fields = {"provider": {"api_key": "abc", "urls": ["redis://:pw@h"]}, "count": 3, "on": True}
    assert Redactor().value(fields) == {
        "provider": {"api_key": "***", "urls": ["redis://:***@h"]},
        "count": 3,
        "on": True,
    }


def test_an_exceptions_text_is_cleaned() -> None:
    assert Redactor().value(OSError("amqp://u:pw@h refused")) == "amqp://u:***@h refused"


def test_what_was_learned_later_is_hidden_by_those_who_were_there_before() -> None:
    redactor = Redactor(["given-one"])
    assert redactor.text("given-one, read-later") == "***, read-later"
    hide("read-later", "")
    assert redactor.text("given-one, read-later") == "***, ***"
    assert redact("refused for read-later") == "refused for ***"


def test_of_many_keys_the_last_ones_are_hidden() -> None:
    for number in range(1000):
        hide(f"single-use-{number:04}")
    assert redact("single-use-0999 single-use-0998") == "*** ***"
    assert redact("single-use-0001") == "single-use-0001"
