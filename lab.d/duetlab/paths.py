"""Where things are: the tree, the build folder, a lab's state, the cache that all clones share."""
import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB_D = ROOT / "lab.d"
BUILD = ROOT / "build"
LABS = BUILD / "lab"


def cache():
    """Images and snapshots. Outside the tree, so that worktrees and fresh clones share them."""
    if "DUET_CACHE" in os.environ:
        return Path(os.environ["DUET_CACHE"]).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "duet"


def digest(*parts):
    """A short key of texts, bytes and files (folders are taken with all they hold)."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = sorted(p for p in part.rglob("*") if p.is_file()) if part.is_dir() else [part]
            for file in files:
                mode = os.access(file, os.X_OK)
                total.update(f"{file.relative_to(part.parent)}:{mode}\0".encode())
                total.update(file.read_bytes())
        else:
            total.update(part if isinstance(part, bytes) else str(part).encode())
        total.update(b"\0")
    return total.hexdigest()[:16]
