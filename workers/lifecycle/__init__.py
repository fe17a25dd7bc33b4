"""The phases of a sandbox's life, one file each: functions over a Sandbox.

Source: Lambda Developer Guide, "Understanding the Lambda execution environment lifecycle".
"""
