"""Advice on networks: candidate changes of a spec, the search among them, what they cost, the profile along depth."""
