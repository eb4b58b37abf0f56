"""What relying parties fetch: CA certificates, CRLs, OCSP answers; and what operators watch."""
