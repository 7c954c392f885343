"""The CI gate: receptive fields as assertions.

The way of one `erfscope check`: `discovery` finds the configuration → `config` reads it as checks (`rules` says what
may be in them) → `question` finds their models and groups them, so that a model is measured once per distinct request →
`answers` takes each answer from the `cache`, this process or a service → `judge` and `baseline` make `findings` →
`explain` and `notes` compare the layers with the baseline's (`layers`, `alignment`) → `reports` tell all of it. `run`
is the whole of it; `expect` is the same for tests.
"""
