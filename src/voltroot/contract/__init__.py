"""A contract on its way into a car: its key sealed to the car's, packed into the messages of ISO 15118."""
