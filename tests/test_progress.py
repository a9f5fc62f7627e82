"""How far a run is, how long it will take and what its rows were made by, as it is told."""

import io
import json
import sys
import types
from dataclasses import replace

import jax
import pytest
from fake_fits import grid
from fake_grid import run

from widththeory import provenance
from widththeory.progress import Bar, Estimate, JsonLines, Lines, State, duration


def test_an_estimate_is_exact_where_time_is_affine_in_cost():
    estimate = Estimate()
    assert estimate.seconds(1, 1.0) is None
    for program, cost in (("a", 10.0), ("b", 2.0)):
        estimate.observe(program, cost, 5.0 + 0.5 + 0.1 * cost)  # compiles for 5 s
    assert estimate.seconds(3, 30.0) > 3 * 0.5 + 0.1 * 30  # compile time included: too long rather than too short
    for program, cost in (("a", 10.0), ("b", 2.0)):
        estimate.observe(program, cost, 0.5 + 0.1 * cost)
    assert estimate.seconds(3, 30.0) == pytest.approx(3 * 0.5 + 0.1 * 30, rel=1e-12)  # a fit of two points: roundoff
    assert estimate.seconds(3, 30.0, new_programs=2) == pytest.approx(10 + 3 * 0.5 + 0.1 * 30, rel=1e-12)


def test_an_estimate_is_never_negative():
    estimate = Estimate()
    for cost, seconds in ((1.0, 9.0), (5.0, 2.0), (5.0, 0.0)):
        estimate.know("a", cost, seconds)
    assert estimate.seconds(2, 10.0) == pytest.approx(11.0)  # two chunks of the mean 5.5 s: cost explains nothing


def test_plain_lines_are_few(ledger):
    said = io.StringIO()
    run(grid(), ledger, progress=Lines(said))
    first, last = said.getvalue().splitlines()
    assert first == "claim: 0 of 48 cells"
    assert last.startswith("claim: 48 of 48 cells, ")


def test_a_process_without_stderr_has_nothing_to_say(ledger, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert run(grid(seeds=1), ledger, progress="auto").done == 12


def test_json_lines_tell_every_chunk(ledger):
    said = io.StringIO()
    settings = grid()
    settings[7] = replace(settings[7], trouble="raise")
    run(settings, ledger, progress=JsonLines(said))
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["start", *["chunk"] * 18, "finish"]
    assert [event["settled"] for event in events] == sorted(event["settled"] for event in events)
    assert (events[-1]["settled"], events[-1]["failed"], events[-1]["remaining"]) == (48, 1, 0.0)
    assert sum(event.get("cells", 0) for event in events) == 48


def test_a_bar_is_drawn_on_a_terminal(ledger):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    said = Terminal()
    run(grid(), ledger, progress=Bar(said))
    assert "48 of 48 cells" in said.getvalue()


def test_rows_made_by_other_versions_are_noted(ledger, monkeypatch):
    now = provenance.here()
    for seeds, kind in ((1, "a"), (2, "b")):
        monkeypatch.setattr(provenance, "here", lambda kind=kind, **_: now | {"jax": "0.1.0", "kind": kind})
        run(grid(seeds=seeds), ledger)
    assert len(ledger.provenances("claim")) == 2
    monkeypatch.setattr(provenance, "here", lambda **_: now)
    said = io.StringIO()
    run(grid(seeds=3), ledger, progress=Lines(said))
    # once, for all who differ from here in nothing else
    assert f"24 older rows of claim were made by jax 0.1.0 (now {now['jax']})" in said.getvalue()
    assert said.getvalue().count("older rows") == 1
    assert {made_by["jax"] for made_by, _ in ledger.provenances("claim")} == {"0.1.0", now["jax"]}


def test_rows_made_on_different_devices_are_noted(ledger, monkeypatch):
    now = provenance.here()
    for seeds, device in ((1, "abacus"), (2, "slide rule")):
        monkeypatch.setattr(provenance, "here", lambda device=device, **_: now | {"device": device})
        run(grid(seeds=seeds), ledger, progress=Lines(said := io.StringIO()))
    assert "rows of claim were made on different devices: abacus, slide rule" in said.getvalue()


def test_several_devices_are_told_apart_from_one(monkeypatch):
    """XLA_FLAGS=--xla_force_host_platform_device_count=4 changes last digits of fits in this process."""
    kinds = [types.SimpleNamespace(device_kind="cpu")] * 4
    monkeypatch.setattr(jax, "devices", lambda: kinds[:1])
    assert provenance.here()["device"] == "cpu"
    monkeypatch.setattr(jax, "devices", lambda: kinds)
    assert provenance.here()["device"] == "4 x cpu"


def test_states_and_durations_read_well():
    state = State("claim", 900, 120, 2, measured=100, elapsed=50.0, remaining=240.0)
    assert state.text() == "claim: 120 of 900 cells, 2 failed, 2 cells/s, 4 min left"
    said = [duration(seconds) for seconds in (0.2, 42.0, 600.0, 6 * 3600.0, 9 * 86400.0)]
    assert said == ["less than 1 s", "42 s", "10 min", "6.0 h", "9.0 days"]
