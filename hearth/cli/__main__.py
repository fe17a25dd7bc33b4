"""`python -m hearth.cli`: how `hearth up` starts its services, whatever the PATH."""

from hearth.cli.entry import main

main()
