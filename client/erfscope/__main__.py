"""`python -m erfscope`: the command line."""

from erfscope.cli import main

if __name__ == "__main__":
    main()
