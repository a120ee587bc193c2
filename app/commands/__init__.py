"""The command line: `persarank`, one file for each command or group of commands."""
