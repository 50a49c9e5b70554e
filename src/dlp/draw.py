"""The drawing process: shuts itself in and becomes Ghostscript, which draws a PostScript program as grey pages.

Started by `press` as `python -I -c ... <folder of the package> <parent pid> <uid> <gid> <level> <seconds> <memory>
<width> <height> <dpi>`; the size, in points, is that of a page which states none.
The program comes in on standard input, pages (PGM) go out on standard output; nothing else is left to it.
"""

from __future__ import annotations

import errno
import os
import resource
import sys

from dlp import landlock

PROGRAMS = ("/usr/bin/gs", "/usr/local/bin/gs")
_READ = (
    *("/usr/share/ghostscript", "/usr/local/share/ghostscript", "/var/lib/ghostscript", "/etc/ghostscript"),
    *("/usr/share/fonts", "/etc/fonts", "/usr/share/fontconfig", "/usr/share/color", "/usr/share/poppler", "/dev/null"),
)
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib")
_ARGUMENTS = (
    "-dSAFER",
    "-dBATCH",
    "-dNOPAUSE",
    "-dQUIET",
    "-dNOPROMPT",
    "-sDEVICE=pgmraw",
    "-dTextAlphaBits=4",
    "-dGraphicsAlphaBits=4",
    "-dMaxBitmap=400000000",  # whole pages in memory: there is no place for temporary files
    "-sstdout=%stderr",  # what the program prints must not come between the pages
    "-sOutputFile=%stdout",
    "-",
)


def program() -> str:
    """Return the path of Ghostscript, or an empty text."""
    return next((path for path in PROGRAMS if os.access(path, os.X_OK)), "")


def main() -> None:
    """Shut in and become Ghostscript; never returns."""
    parent, uid, gid = (int(word) for word in sys.argv[2:5])
    level, seconds, memory = sys.argv[5], int(sys.argv[6]), int(sys.argv[7])
    width, height, dpi = (int(word) for word in sys.argv[8:11])
    path = program()
    ruleset = -1
    if level == "full":
        from dlp import seccomp  # noqa: PLC0415  level rlimits must work where libseccomp is missing

        ruleset = landlock.make_ruleset([*landlock.readable(), *_READ], [path, *_LIBRARIES])
    landlock.leave_network()
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (most, most))
    if uid:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    landlock.die_with_parent(parent)
    landlock.give_up_privileges()
    if level == "full":
        landlock.enter_ruleset(ruleset)
        os.close(ruleset)
        seccomp.load_for_program(errno.EPERM)
    size = (f"-r{dpi}", f"-dDEVICEWIDTHPOINTS={width}", f"-dDEVICEHEIGHTPOINTS={height}")
    os.execve(path, [path, *size, *_ARGUMENTS], {"LC_ALL": "C.UTF-8", "HOME": "/nonexistent"})  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    main()
