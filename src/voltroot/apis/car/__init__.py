"""The station's local door: what a program beside it asks for a car, over HTTP on this machine."""
