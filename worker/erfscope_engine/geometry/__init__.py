"""The one geometry: digits (what an index is made of), spans (what a unit reads), links (what an operator does)."""
