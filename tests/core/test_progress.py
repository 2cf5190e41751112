"""Progress: a bar where somebody looks, a callable where one is given, else silence."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

import kernreg_core as kr
from kernreg_core.progress import Progress

X = np.ones((4, 1))


def dot(X, Y):
    return X @ Y.T


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_silent_without_a_terminal(capfd):
    kr.gram(dot, X, tile=1)
    assert capfd.readouterr() == ("", "")


def test_a_bar_where_it_is_asked_for(capfd):
    kr.gram(dot, X, tile=2, progress=True)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "Gram matrix" in printed.err
    assert "/4 " in printed.err


def test_a_terminal_gets_a_bar_for_several_tiles_only(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert Progress(1, None)._bar is None
    assert Progress(2, False)._bar is None
    with Progress(2, None) as bar:
        assert bar._bar is not None
        bar.advance()
    assert "0/2" not in sys.stderr.getvalue()  # over before the delay: nothing was shown


def test_a_callable_counts_every_tile():
    calls = []
    kr.gram(dot, X, tile=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_a_callable_raises_stops_the_work():
    class Stop(Exception):
        pass

    calls = []

    def stop(done, total):
        calls.append(done)
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        kr.gram(dot, X, tile=1, progress=stop)
    assert calls == [1, 2]


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_a_stream_that_is_closed_or_absent_is_no_terminal(monkeypatch, stream):
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(5, None) as bar:
        bar.advance()
    assert (bar.done, bar._bar) == (1, None)


@pytest.mark.parametrize("bad", [3, "yes", []])
def test_what_is_neither_answer_nor_callable(bad):
    with pytest.raises(kr.ParameterError, match="progress: expected True, False, None or a callable, got"):
        kr.gram(dot, X, progress=bad)
