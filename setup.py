"""Packaging that setup.cfg cannot say: the top-level web/ and conf/ ship inside rpa_server as data."""

from setuptools import find_packages, setup

# In a checkout the package finds these two next to itself, in a wheel inside itself.
DATA = {"rpa_server.web": "web", "rpa_server.conf": "conf"}
# Of web/ only what pages load: its sources and their tools stay behind.
FILES = {
    "rpa_server": ["py.typed"],
    "rpa_server.cli": ["*.json"],
    "rpa_server.backends.redis": ["*.lua"],
    "rpa_server.web": ["*.html", "*.css", "*.js", "*.d.ts", "dist/*", "php/*"],
    "rpa_server.conf": ["**"],
}

setup(
    packages=[*find_packages(include=["rpa_server", "rpa_server.*"]), *DATA],
    package_dir=DATA,
    package_data=FILES,
    # Without a manifest, package_data alone decides what goes into the wheel and into the sdist.
    include_package_data=False,
)
