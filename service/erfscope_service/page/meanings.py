"""The contract's table of scalars as a module for the page: flat name → group, label, unit, meaning."""

import json

from erfscope_contract.meanings import TABLE


def as_module() -> bytes:
    """An ES module, so that whoever needs the table has it before the first line runs."""
    rows = json.dumps({name: row._asdict() for name, row in TABLE.items()}, ensure_ascii=False, indent=2)
    return f"// Made from the contract's own table.\n\nexport const TABLE = {rows};\n".encode()
