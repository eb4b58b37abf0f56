"""The car's language: messages of ISO 15118-2 and -20, EXI, XML signatures. No I/O."""
