"""As root: become root of a user namespace in which no further one may be made, and run a command there.

python -m tests.support.without_user_namespaces COMMAND...
"""

import os
import sys
from pathlib import Path

from workers.sandbox.isolation import syscalls

_IDS = "0 0 65536"


def main() -> None:
    entered, wake = os.pipe()
    mapper = os.fork()
    if mapper == 0:  # only a process outside may map more ids than its own
        os.read(entered, 1)
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{os.getppid()}/{kind}").write_text(_IDS)
        os._exit(0)
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    os.write(wake, b"x")
    if os.waitstatus_to_exitcode(os.waitpid(mapper, 0)[1]) != 0:
        sys.exit("the ids could not be mapped")
    # Counted per namespace: this is its own limit, not the host's.
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    os.execvp(sys.argv[1], sys.argv[1:])


main()
