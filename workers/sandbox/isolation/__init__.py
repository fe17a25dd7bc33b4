"""How a sandbox is kept apart: namespaces, seccomp, cgroups, and the helper process that spawns it."""
