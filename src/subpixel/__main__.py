"""python -m subpixel"""

from subpixel.cli import main

if __name__ == "__main__":
    main()
