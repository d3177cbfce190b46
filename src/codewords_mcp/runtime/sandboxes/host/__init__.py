"""Parts that the drivers of this machine share: folders, cgroups, processes, output."""
