-- Of every connection. Every extension that is used is built into DuckDB's wheel: never reach for the network.
set preserve_insertion_order = true;
set autoinstall_known_extensions = false;
