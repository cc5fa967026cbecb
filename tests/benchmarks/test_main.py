import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.frames import Recording
from benchmarks.report import Row, exit_code

KEYS = ["name", "metric", "value", "unit", "reference", "checked"]


def test_json_is_one_object_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listener", "--json", "--seconds", "0.05", "--runs", "1"]) == 0
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [list(row) for row in rows] == [KEYS, KEYS]
    assert [row["metric"] for row in rows] == ["events_per_second", "events_per_second_4_shards"]
    assert all(row["checked"] and row["value"] > 0 and row["reference"] > 0 for row in rows)
    assert "run 1 of 1" in said.err


def test_a_file_of_frames_takes_the_place_of_the_recording(
    day: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_bytes(b"\n".join(day.frames[:100]))
    assert main(["listener", "--runs", "1", "--frames", str(path)]) == 0
    said = capsys.readouterr()
    assert "frames of frames.jsonl: 10,000 events" in said.err
    assert said.out.splitlines()[0].split("\t") == KEYS


def test_one_wrong_answer_fails_the_run() -> None:
    right = Row.of("fold", "events_per_second", 1.6, 2.4, [])
    wrong = Row.of("fold", "events_per_second", 1.6, 2.4, ["a candle is missing"])
    assert (right.checked, right.value, right.reference) == (True, 2, 2)
    assert not wrong.checked
    assert exit_code([right]) == 0
    assert exit_code([right, wrong]) == 1


@pytest.mark.parametrize("arguments", [["no-such"], ["--runs", "0"], ["--seconds", "0"], ["--x"]])
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(arguments)
    assert refusal.value.code == 2


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listener", "--frames", "absent.jsonl"]) == 2
    assert "absent.jsonl" in capsys.readouterr().err
