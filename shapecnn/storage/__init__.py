"""Storage: files that appear whole and are checked against their hashes before use; it knows no meshes or networks.

In: bytes, rows and arrays. Out: sealed folders, tables, journals of unfinished work, or an error that names the file.
Import from the modules; the package itself exports nothing.

- Folders: :mod:`publishing` writes them whole, :mod:`sealed` and :mod:`checksums` check them, :mod:`own` protects files
  that shapecnn did not write, :mod:`collisions` finds outputs whose names collide, :mod:`kinds` recognizes folders.
- Files: :mod:`files` writes one that the user names, :mod:`reading` reads and hashes stored ones, :mod:`arrays` has
  safetensors, :mod:`tables` Parquet (parsed by :mod:`table_reader` and :mod:`table_process`), :mod:`spreadsheets` CSV.
- :mod:`journal` records unfinished work; :mod:`caches` finds the folder of what is computed once.
"""
