"""Where settings come from, and what happens to names that are old, gone or mistyped."""

from pathlib import Path

import pytest

from tapewire.runtime.environment import Loaded, Source, load_settings
from tapewire.runtime.service import UsageError


def load(tmp_path: Path, /, **environ: str) -> Loaded:
    return load_settings({"TAPEWIRE_DATA_DIR": str(tmp_path), **environ})


def source(loaded: Loaded, name: str) -> Source:
    return next(line.source for line in loaded.effective() if line.name == name)


def test_an_option_beats_the_environment_and_the_environment_the_default(tmp_path: Path) -> None:
    environ = {"TAPEWIRE_DATA_DIR": str(tmp_path), "PREFETCH_COUNT": "7", "TAPEWIRE_FLUSH_MS": "50"}
    loaded = load_settings(environ, {"prefetch_count": 9, "tapewire_flush_ms": None})
    assert (loaded.settings.prefetch_count, loaded.settings.tapewire_flush_ms) == (9, 50)
    assert source(loaded, "PREFETCH_COUNT") is Source.OPTION
    assert source(loaded, "TAPEWIRE_FLUSH_MS") is Source.ENVIRONMENT
    assert source(loaded, "LOG_LEVEL") is Source.DEFAULT


def test_an_empty_value_is_no_value(tmp_path: Path) -> None:
    assert load(tmp_path, PREFETCH_COUNT="").settings.prefetch_count == 500


def test_the_data_folder_follows_the_platforms_custom() -> None:
    def folder(platform: str, **environ: str) -> str:
        loaded = load_settings({"HOME": "/home/trader", **environ}, platform=platform)
        return str(loaded.settings.tapewire_data_dir)

    assert folder("linux") == "/home/trader/.local/share/tapewire"
    assert folder("linux", XDG_DATA_HOME="/data") == "/data/tapewire"
    assert folder("darwin") == "/home/trader/Library/Application Support/tapewire"


def test_the_old_name_of_the_key_works_with_a_warning(tmp_path: Path) -> None:
    loaded = load(tmp_path, POLYGON_API_KEY="old-key")
    assert loaded.settings.required("massive_api_key") == "old-key"
    assert loaded.warnings == ("POLYGON_API_KEY is the old name of MASSIVE_API_KEY: rename it",)


def test_the_new_name_of_the_key_wins_without_a_warning(tmp_path: Path) -> None:
    loaded = load(tmp_path, POLYGON_API_KEY="old-key", MASSIVE_API_KEY="new-key")
    assert loaded.settings.required("massive_api_key") == "new-key"
    assert loaded.warnings == ()


def test_the_key_comes_from_a_file_last(tmp_path: Path) -> None:
    (tmp_path / "massive_api_key").write_text("filed-key\n")
    loaded = load(tmp_path)
    assert loaded.settings.required("massive_api_key") == "filed-key"
    assert source(loaded, "MASSIVE_API_KEY") is Source.FILE
    loaded = load(tmp_path, MASSIVE_API_KEY="given-key")
    assert loaded.settings.required("massive_api_key") == "given-key"


def test_a_named_key_file_must_be_there_and_hold_one_word(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="MASSIVE_API_KEY_FILE: cannot read"):
        load(tmp_path, MASSIVE_API_KEY_FILE=str(tmp_path / "missing"))
    (tmp_path / "two").write_text("two words")
    with pytest.raises(UsageError, match="holds 2 words"):
        load(tmp_path, MASSIVE_API_KEY_FILE=str(tmp_path / "two"))


@pytest.mark.parametrize(
    "name",
    ["MASSIVE_API_KEY", "UPSTOX_ACCESS_TOKEN", "FYERS_ACCESS_TOKEN", "DHAN_ACCESS_TOKEN"],
)
def test_a_file_beside_the_secret_itself_is_not_read_and_that_is_said(
    tmp_path: Path, name: str
) -> None:
    loaded = load(tmp_path, **{name: "given", f"{name}_FILE": str(tmp_path / "missing")})
    assert loaded.settings.required(name.lower()) == "given"
    assert loaded.warnings == (f"{name}_FILE has no effect: {name} is set; remove one of them",)


def test_a_name_that_is_gone_says_why(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, MAX_CONCURRENCY="16").warnings
    assert warning.startswith("MAX_CONCURRENCY has no effect")
    assert "PARALLELISM" in warning


def test_a_mistyped_name_of_ours_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"MASSIVE_FEEDS: .*did you mean MASSIVE_FEED\?"):
        load(tmp_path, MASSIVE_FEEDS="Delayed")


def test_a_strange_name_with_our_prefix_is_a_warning(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, TAPEWIRE_COLOUR_OF_THE_BIKE_SHED="green").warnings
    assert warning.startswith("TAPEWIRE_COLOUR_OF_THE_BIKE_SHED is not a setting")


def test_what_kubernetes_puts_into_a_pod_is_left_alone(tmp_path: Path) -> None:
    injected = {
        "TAPEWIRE_MDL_SERVICE_HOST": "10.0.0.1",
        "TAPEWIRE_MDL_SERVICE_PORT_HTTP": "4200",
        "TAPEWIRE_MDL_PORT": "tcp://10.0.0.1:4200",
        "TAPEWIRE_MDL_PORT_4200_TCP_ADDR": "10.0.0.1",
    }
    assert load(tmp_path, **injected).warnings == ()


def test_every_wrong_value_is_told_at_once_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, MASSIVE_FEED="Fastest", PREFETCH_COUNT="0", MASSIVE_MARKETT="stocks")
    typo, feed, prefetch = str(refused.value).splitlines()
    assert "did you mean MASSIVE_MARKET?" in typo
    assert "MASSIVE_FEED (environment): 'Fastest' is not valid; expected one of RealTime" in feed
    assert "PREFETCH_COUNT (environment): '0'" in prefetch
    assert "1 to 65535" in prefetch
    assert refused.value.exit_code == 2


def test_a_wrong_secret_is_not_shown_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, RABBITMQ_URL="http://user:open-sesame@host")
    assert "open-sesame" not in str(refused.value)
    assert "RABBITMQ_URL" in str(refused.value)


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such setting: prefetch;"):
        load_settings({"TAPEWIRE_DATA_DIR": str(tmp_path)}, {"prefetch": 9})


def test_effective_hides_secrets_and_keeps_the_rest_readable(tmp_path: Path) -> None:
    loaded = load(tmp_path, MASSIVE_API_KEY="key-1234", RABBITMQ_URL="amqp://user:word@host:5672/v")
    shown = {line.name: line.value for line in loaded.effective()}
    assert shown["MASSIVE_API_KEY"] == "***"
    assert shown["RABBITMQ_URL"] == "amqp://user:***@host:5672/v"
    assert shown["MASSIVE_SUBSCRIPTIONS"] == "T.*,A.*,LULD.*"
    assert shown["TAPEWIRE_DATA_DIR"] == str(tmp_path)
    assert shown["QUOTE_SOURCE"] == "auto"
