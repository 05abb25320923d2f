# Nothing: that enter.sh gets here shows that namespaces and emulation can be had.
