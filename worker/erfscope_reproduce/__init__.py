"""The article's claims, asked again: a table of experiments, and the report of what came out.

Loading it needs no torch; running an experiment does (`pip install 'erfscope[local,reproduce]'`).
"""
