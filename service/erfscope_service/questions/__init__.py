"""Questions about a model that are a job of their own kind each: advice, tiles, fit."""
