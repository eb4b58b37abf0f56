"""What the judge of chains weighs: the checks of RFC 5280 section 6, the evidence of status, the rules of ISO 15118."""
