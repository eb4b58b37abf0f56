"""The CSMS: which charging stations may connect, and the certificates that they are given and asked for."""
