"""Starts AWS's runtime client inside a sandbox; lies at /var/runtime/bootstrap.py, as on AWS.

The search path is AWS's: the function's code, then layers, then the client. It is set here and not by PYTHONPATH,
which the customer may change. Runs on every supported Python and imports nothing of the platform.
"""

import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
release = f"{sys.version_info[0]}.{sys.version_info[1]}"
first = [os.environ["LAMBDA_TASK_ROOT"], f"/opt/python/lib/python{release}/site-packages", "/opt/python", here]
sys.path[:] = first + [place for place in sys.path if place not in first]
if log_fd := os.environ.get("_LAMBDA_TELEMETRY_LOG_FD"):
    # The client closes it when it ends, and stdout must outlive that.
    os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(os.dup(int(log_fd)))

from awslambdaric.__main__ import main  # noqa: E402

main(sys.argv)
