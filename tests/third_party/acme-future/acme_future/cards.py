"""Never imported: the version gate comes before any code of the plugin."""

raise RuntimeError("acme-future was imported although its core is too old")
