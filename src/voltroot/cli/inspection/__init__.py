"""What ``voltroot inspect`` does: files become typed values, and typed values become reports."""
