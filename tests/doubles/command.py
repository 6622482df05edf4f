"""`python -m tests.doubles.command ARGS`: longtake on a machine with a doubled GPU."""

from pipeline.cli.main import main
from tests.doubles.tensorrt import install

if __name__ == "__main__":
    install()
    main()
