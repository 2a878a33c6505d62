"""Writes pictures with 256 colours at the most, a third of the bytes: ``smaller.py FROM TO``. Needs Pillow."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    for file in sorted(source.glob("*.png")):
        picture = Image.open(file).convert("RGB")
        picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            target / file.name, optimize=True
        )
