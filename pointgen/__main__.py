"""`python -m pointgen`, which is also how launchers of several processes start the command line."""

from pointgen.cli.app import main

if __name__ == "__main__":
    main()
