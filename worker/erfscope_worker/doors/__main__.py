"""`python -m erfscope_worker.doors`: a table of the jail's doors; exit code 1 when one is open.

The child is started as those of real jobs are, with the settings of this environment (ERFSCOPE_*), as this user, from
this folder.
"""

import sys

from erfscope_worker.safe_path import restart_safely


def main() -> int:
    """Try, print, judge."""
    # Imported here: before `restart_safely` the start folder is on sys.path, and its files are not ours.
    from erfscope_jobs.environment import read_or_exit
    from erfscope_jobs.settings import Settings
    from erfscope_worker import jail, readable
    from erfscope_worker.doors.outside import table, try_doors
    from erfscope_worker.launcher import Launcher

    settings = read_or_exit(Settings)
    if lacking := jail.missing():
        print(f"This machine has no {' and no '.join(lacking)}: every door is open.", file=sys.stderr)
        return 1
    jail.hide()
    launcher = Launcher(settings)
    launcher.start()
    try:
        readable.check(launcher.libraries, settings)
        attempts = try_doors(launcher, settings, sandbox=True)
    finally:
        launcher.close()
    print(table(attempts))
    return int(any(one.opened for one in attempts))


if __name__ == "__main__":
    restart_safely("erfscope_worker.doors")
    sys.exit(main())
