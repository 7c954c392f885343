"""A report in the forms that people and machines read; each file is one form, a pure function of the report."""
