"""`make bench` measures what the robot runs."""

import re

from emotion_bringup import benchmark


def test_every_stage_is_measured_with_its_median_and_95th_percentile(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "REPEATS", 10)
    benchmark.main()
    rows = re.findall(r"^\| (.+?) +\| +([\d.]+) \| +([\d.]+) \|$", capsys.readouterr().out, re.MULTILINE)
    assert [stage.split(",")[0] for stage, *_ in rows] == [
        "find the face",
        "measure its mouth",
        "cut it out",
        "encode a face",
        "take 0.1 s of sound",
        "encode a window of 3.0 s",
        "fuse",
    ]
    medians_ms, slow_ms = ([float(row[column]) for row in rows] for column in (1, 2))
    assert all(median_ms <= ms for median_ms, ms in zip(medians_ms, slow_ms, strict=True)) and medians_ms != slow_ms
    assert medians_ms[5] > 1.0, "milliseconds"


def test_the_table_holds_the_median_and_the_95th_percentile(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "_stages", lambda: {"a stage": None})
    monkeypatch.setattr(benchmark, "_times_ms", lambda stage: range(101))
    benchmark.main()
    assert capsys.readouterr().out.splitlines()[-1] == "| a stage |  50.00 |  95.00 |"
