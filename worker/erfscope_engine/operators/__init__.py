"""The operators: one record each (table.py), in the file of its family."""
