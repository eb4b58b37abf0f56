"""The REST API of the CSMS's operators: stations, their certificates, and what they are to do."""
