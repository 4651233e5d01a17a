"""Results in other tools' forms: serving engines, flashinfer-bench, spreadsheets, github-action-benchmark. Nothing is measured."""
