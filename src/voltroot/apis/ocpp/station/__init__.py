"""The station's end of OCPP: what it tells the CSMS, what it answers, and what cars ask it for."""
