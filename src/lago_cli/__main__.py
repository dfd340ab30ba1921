"""``python -m lago_cli`` is ``lagoctl``."""

from lago_cli.app import main

if __name__ == "__main__":
    main()
