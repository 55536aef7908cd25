"""Progress in a terminal."""

from __future__ import annotations

import sys

from tqdm import tqdm

from workflows.job_process import RunReport
from workflows.reports import Progress, StoppableReport
from workflows.runs import RunFolder


class BarReport(StoppableReport):
    """One bar a phase on stderr: bytes done, bytes per second, time left, the tensor in hand."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm | None = None
        self._phase = ""

    def progress(self, progress: Progress) -> None:
        if self._bar is None or progress.phase != self._phase:
            self.close()
            self._phase = progress.phase
            self._bar = tqdm(
                desc=progress.phase,
                total=progress.total or None,
                unit=progress.unit,
                unit_scale=True,
                dynamic_ncols=True,
                leave=False,
                smoothing=0.1,
            )
        if progress.current:
            self._bar.set_postfix_str(progress.current[-40:], refresh=False)
        self._bar.update(progress.done - self._bar.n)

    def log(self, text: str) -> None:
        tqdm.write(text.rstrip(), file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class BarRunReport(RunReport):
    """Writes to a run's folder, for the app, and draws bars for whoever started it in a terminal."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run)
        self._bars = BarReport()

    def progress(self, progress: Progress) -> None:
        super().progress(progress)
        self._bars.progress(progress)

    def log(self, text: str) -> None:
        super().log(text)
        self._bars.log(text)

    def close(self) -> None:
        self._bars.close()
