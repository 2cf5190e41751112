"""Never imported."""

raise RuntimeError("evil-future was imported although its core is too old")
