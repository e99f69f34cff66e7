"""File storage: writes files and folders atomically, and checks files against their SHA-256 hashes before use.

The package handles bytes, table rows and arrays; it does not depend on meshes or networks. Import from the modules: the
package itself exports nothing.

- Output folders: :mod:`publishing` writes all files of a folder or none, :mod:`sealed` and :mod:`checksums` check the
  files, :mod:`own` protects files that shapecnn did not write, :mod:`collisions` finds outputs whose names collide, and
  :mod:`kinds` recognizes what a folder holds.
- Files: :mod:`files` writes a file that the user names, and :mod:`reading` reads and hashes stored files. :mod:`arrays`
  handles safetensors files, :mod:`tables` handles Parquet files (parsed by :mod:`table_reader` and
  :mod:`table_process`), :mod:`csv_reader` reads CSV files of the user, and :mod:`spreadsheets` writes CSV files.
- Interrupted commands: :mod:`unfinished` and :mod:`journal` record unfinished work.
- :mod:`caches` chooses the folders of caches.
"""
