"""What setup.cfg cannot express: the top-level web/ and conf/ are installed inside rpa_server, as data."""

from setuptools import find_packages, setup

# Package of data → its directory in the checkout, where it is beside rpa_server; once installed it is inside.
DATA = {"rpa_server.web": "web", "rpa_server.conf": "conf"}
# Of web/: what pages load, the types and the PHP proxy. The scripts' sources, their build and their tests stay out.
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
    # There is no MANIFEST.in: package_data alone decides which data files go into the wheel and into the sdist.
    include_package_data=False,
)
