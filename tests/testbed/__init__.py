"""Real servers for tests: sshd, Slurm, a network that fails, a stand-in for wsl.exe. Each is private, on loopback, and ends."""
