"""The links by SSH: paramiko's, and that of the system's own program."""
