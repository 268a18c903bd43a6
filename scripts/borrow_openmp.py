"""Let LightGBM load on a machine without an OpenMP runtime, with the one that scikit-learn's wheel brings along.

LightGBM's Linux wheel expects the system's libgomp.so.1, which bare machines do not have. Where it is, nothing changes.
Usage: borrow_openmp.py PATCHELF, the path of that program.
"""

import ctypes
import subprocess
import sys
import sysconfig
from pathlib import Path


def main() -> None:
    """Point LightGBM at scikit-learn's libgomp if the system has none."""
    if sys.platform != "linux" or _system_has_openmp():
        return
    packages = Path(sysconfig.get_path("platlib"))
    library = packages / "lightgbm" / "lib" / "lib_lightgbm.so"
    libraries = sorted((packages / "scikit_learn.libs").glob("libgomp*.so*"))
    if not libraries:
        sys.exit("LightGBM needs libgomp.so.1, which this machine lacks: install the system package libgomp1.")
    patchelf = sys.argv[1]
    needed = subprocess.run([patchelf, "--print-needed", library], check=True, capture_output=True, text=True).stdout
    if "libgomp.so.1" not in needed.split():
        return
    subprocess.run([patchelf, "--replace-needed", "libgomp.so.1", libraries[0].name, library], check=True)
    subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../../scikit_learn.libs", library], check=True)
    print(f"LightGBM uses {libraries[0].name} of scikit-learn: the system has no libgomp.so.1")


def _system_has_openmp() -> bool:
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
