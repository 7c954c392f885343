"""The CI gate: receptive fields as assertions.

The way of one `erfscope check`: `discovery` finds the configuration → `config` reads it as checks → `models` finds
their files → `question` groups them, so that a model is measured once per distinct request → `answers` takes each
answer from the `cache`, this process or a service (`remote`) → `judge` and `baseline` make findings (numbers in
`compare`, advice in `mend`) → `reports` tell them. `run` is the whole of it; `expect` is the same for tests.
"""
