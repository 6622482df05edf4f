"""`python -m doubles.command ARGS`: longtake on a machine with a doubled GPU."""

from doubles.tensorrt import install
from pipeline.cli.main import main

if __name__ == "__main__":
    install()
    main()
