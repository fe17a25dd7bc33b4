"""The Telemetry API, version 2022-07-01, and the Logs API 2020-08-15 as its old form: who subscribed, what they get.

Source: Lambda Developer Guide, "Accessing real-time telemetry data for extensions using the Telemetry API".
"""

from workers.sandbox.telemetry.hub import Telemetry

__all__ = ["Telemetry"]
