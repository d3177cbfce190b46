"""Finds a Chromium of this machine and what a sandbox has to show of it; how Chromium is started there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""Commands that are looked for, in this order."""
_NOT_USED = (
    # What Playwright leaves out: Chromium heeds only the last list, which is this one.
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect", "TcpPortRandomizationWin", "OptimizationHints", "NetworkTimeServiceQuerying",
    "AimEnabled", "PreconnectToSearch", "msForceBrowserSignIn", "msEdgeUpdateLaunchServicesPreferredVersion",
    # The pages below the address bar, which nobody sees here: a process of 80 MiB, and 70 ms of each start.
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
)  # fmt: skip
SWITCHES = (
    # The sandbox around all of this is the confinement.
    "--no-sandbox",
    "--disable-gpu",
    # Loopback too is the egress policy's to judge.
    "--proxy-bypass-list=<-loopback>",
    # WebRTC would send UDP past the proxy.
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-features=" + ",".join(_NOT_USED),
)
"""Chromium's, after Playwright's own. None has a blank in it."""
_BEHIND = {
    # The command on PATH is a shell script there, which wants a home and a desktop.
    "chromium": Path("/usr/lib/chromium/chromium"),
    "chromium-browser": Path("/usr/lib/chromium-browser/chromium-browser"),
}
# Folders that every sandbox of the local driver sees.
_SHOWN = (Path("/usr"), Path("/bin"), Path("/lib"), Path("/lib64"))


@dataclass(frozen=True, slots=True)
class Chromium:
    """The program to run, and the folder that a sandbox needs besides /usr to run it, None for none."""

    program: Path
    folder: Path | None


def find(setting: Path | None) -> Chromium | None:
    """The one that the settings name, else the first on PATH; None where there is none that a sandbox can run."""
    if setting is not None:
        return _usable(setting)

    for name in NAMES:
        if (found := shutil.which(name)) is not None:
            behind = _BEHIND.get(name)
            if behind is not None and behind.is_file():
                program = behind
            else:
                program = Path(found)

            if (usable := _usable(program)) is not None:
                return usable

    return None


def _usable(path: Path) -> Chromium | None:
    program = path.resolve()
    # A snap's command is snapd's, which confines it itself.
    if not program.is_file() or program.name == "snap":
        return None

    if program.name in {"google-chrome", "google-chrome-stable", "google-chrome-beta"}:
        # The program lies beside the script of that name.
        program = program.with_name("chrome")
    if not program.is_file():
        return None

    inside = any(program.is_relative_to(folder) for folder in _SHOWN)
    return Chromium(program, None if inside else program.parent)
