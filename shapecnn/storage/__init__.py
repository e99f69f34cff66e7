"""Storage: files that appear whole and are checked against their hashes before use; it knows no meshes or networks.

In: bytes, rows and arrays. Out: sealed folders, tables, journals of unfinished work, or an error that names the file.
"""
